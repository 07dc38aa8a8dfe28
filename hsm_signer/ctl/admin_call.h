// Requests to admin.sock that change the registry: one at a time there, so a busy signer is asked
// again.
#pragma once

#include <chrono>
#include <thread>
#include <vector>

#include "client_shim/core/client.h"
#include "hsm_signer/ctl/context.h"
#include "hsm_signer/wire/admin.h"

namespace hsm::ctl {

inline constexpr int kBusyTries = 40;

template <class Answer, class Message>
Result<Answer> admin_call(client::Client& admin, wire::Type type, const Message& message) {
  for (int tries = 1;; ++tries) {
    Result<Answer> answer = admin.call<Answer>(type, message);
    if (answer || answer.error().code != Code::overloaded || tries == kBusyTries) return answer;
    std::this_thread::sleep_for(std::chrono::milliseconds{answer.error().retry_after_ms});
  }
}

// `statement`: of officers, where signer.toml names some; or empty.
inline Result<void> change_version(client::Client& admin, wire::Type type, const std::string& key,
                                   std::uint32_t version, const std::string& statement = {}) {
  const wire::KeyVersionRef ref{.key = key, .version = version, .statement = statement};
  TRY_VOID(admin_call<wire::Done>(admin, type, ref));
  return {};
}

// Every version of `key`, or of all keys where it is empty. The signer pages.
Result<std::vector<wire::VersionItem>> list_versions(client::Client& admin, const std::string& key);

// Retires the version at the signer, destroys its object in the token, registers it as destroyed.
Result<void> destroy_version(Context& context, client::Client& admin, const wire::VersionItem& item,
                             const std::string& statement = {});

// The file that --statement names, whole; nothing where none was named.
Result<std::string> read_statement(const std::string& path);

}  // namespace hsm::ctl

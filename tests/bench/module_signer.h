// HMAC by a PKCS#11 module in this process, with nothing around it: no timer, no proof of the key,
// no search. hsm-tokend's own wrapper has those, and here they would be measured too.
#pragma once

#include <p11-kit/pkcs11.h>

#include <memory>
#include <string>

#include "hsm_signer/base/hash.h"
#include "tests/support/soft_token.h"

namespace hsm::bench {

// A SoftHSM token whose one key is kBenchKey.
class BenchToken {
 public:
  static constexpr const char* kLabel = "desk";

  // Plants the key, from a child process.
  static Result<std::shared_ptr<BenchToken>> make();

  const std::string& dir() const { return token_.dir(); }
  std::string conf() const { return token_.conf(); }
  std::string uri() const { return token_.uri(); }
  Result<std::string> pin() const;

 private:
  BenchToken() : token_{kLabel} {}
  test::SoftToken token_;
};

// Only in a forked child: a module stays loaded for good, and the next contender must not find it.
class ModuleSigner {
 public:
  // Loads `module`, logs in to the token named BenchToken::kLabel and finds its key.
  static Result<ModuleSigner> open(const char* module, const BenchToken& token);
  // A session of its own on the same login, for another thread.
  Result<ModuleSigner> for_another_thread() const;
  Result<Mac> sign(ByteView message) const;

 private:
  friend class BenchToken;
  static Result<ModuleSigner> log_in(const char* module, const BenchToken& token);
  Result<void> make_key() const;
  Result<void> find_key();

  Result<void> open_session();

  CK_FUNCTION_LIST* functions_ = nullptr;
  CK_SLOT_ID slot_ = 0;
  CK_SESSION_HANDLE session_ = 0;
  CK_OBJECT_HANDLE key_ = 0;
};

}  // namespace hsm::bench

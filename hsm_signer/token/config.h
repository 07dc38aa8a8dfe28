// <token>.toml: what one hsm-tokend is told. Relative paths are taken from the file's own
// directory.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hsm_signer/base/result.h"
#include "hsm_signer/token/ceiling.h"
#include "hsm_signer/token/profile.h"
#include "hsm_signer/token/uri.h"

namespace hsm::token {

struct Config {
  Mode mode = Mode::production;
  std::string token;  // As the signer and people call it.
  TokenUri uri;
  std::string module;
  std::string module_arguments;  // pReserved of C_Initialize; most modules want none.
  const Profile* profile = nullptr;
  bool accept_unfit_token = false;  // Production keys although profile->unfit says why not.
  std::uint32_t workers = 0;
  std::uint32_t depth = 0;
  std::chrono::milliseconds call_limit{};
  std::string pin_file;
  std::string socket;
  std::string admin_socket;
  gid_t socket_group;  // -1: unchanged.
  gid_t admin_group;
  std::vector<uid_t> clients;        // Who may use `socket`. Default: this process's own uid.
  std::vector<uid_t> admin_clients;  // Who may use `admin_socket`. The same default.
  std::string state_dir;
  std::string ceilings;
  std::string allowed_officers;  // Empty: none, and then no ceiling may demand officers.
  std::string wrap_public;
  std::string wrap_private;  // Of a profile that decrypts in the host, else empty.
  std::string audit_public;
  // All of the environment that a worker has, besides LANG and TZ.
  std::vector<std::pair<std::string, std::string>> module_env;
  // Directories that the module writes, besides what this file names. Absent: Landlock does not
  // limit what workers write.
  std::optional<std::vector<std::string>> module_writes;

  std::string file;
  std::string text;  // As read: workers get it over a memfd and parse it again.

  // Errors: usage with file:line:column.
  static Result<Config> load(const std::string& path);
  static Result<Config> parse(std::string_view text, const std::string& path);
};

// An example that parse() takes, for --help.
std::string_view config_example();

}  // namespace hsm::token

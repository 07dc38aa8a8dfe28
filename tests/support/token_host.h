// A real hsm-tokend over a private SoftHSM token.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "hsm_signer/token/vault.h"
#include "tests/support/soft_token.h"
#include "tests/support/token_client.h"

namespace hsm::test {

// A mac request for `json` with the key that `secret` makes.
wire::MacRequest mac_request(const token::ObjectName& object, std::string_view secret,
                             std::string_view json = R"({"request":"/v1/heartbeat","nonce":1})");

class TokenHost {
 public:
  // What the test wants otherwise than usual.
  struct Options {
    std::string profile = "softhsm";
    unsigned workers = 2;
    std::string module = kSoftHsmModule;
    std::string uri = "pkcs11:token=desk";
    std::vector<std::pair<std::string, std::string>> module_env{};
    std::string more{};  // Lines added to desk.toml.
    std::string ceilings =
        "version = 1\n[[key]]\nlabel = \"*\"\nenvironment = \"sandbox\"\n"
        "classes = [\"read\", \"cancel\", \"trade\", \"session\"]\nrate = 1000000\n";
  };
  TokenHost();
  explicit TokenHost(Options options);
  TokenHost(const TokenHost&) = delete;
  TokenHost& operator=(const TokenHost&) = delete;
  ~TokenHost();

  // Writes desk.toml and ceilings.toml and starts; the constructors do not.
  void start();
  // SIGTERM; the exit status, -1 where it does not run. Kills after 20 s.
  int stop();

  const std::string& dir() const { return token_.dir(); }
  std::string config() const { return dir() + "/desk.toml"; }
  std::string socket() const { return dir() + "/desk.sock"; }
  std::string admin_socket() const { return dir() + "/desk.admin.sock"; }
  pid_t pid() const { return pid_; }
  std::vector<pid_t> workers() const;  // Children of the supervisor.
  std::string log() const;
  // Waits up to 20 s.
  bool logs(const std::string& text, int times = 1) const;
  void write(const std::string& name, const std::string& text) const;
  // A file for wrap_private, as hsm-tokend(8) says to make it.
  void make_wrap_key(const std::string& name) const;

  // Connects and greets; waits for the sockets up to 20 s.
  TokenClient client();
  TokenClient admin();
  // wrap, import as `object`.
  Result<void> import(const token::ObjectName& object, std::string_view secret);

 private:
  TokenClient eager(const std::string& socket);
  Options options_;
  SoftToken token_;
  pid_t pid_ = 0;
};

}  // namespace hsm::test

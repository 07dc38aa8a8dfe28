// What every verb is given: where things are, whom to ask, where to print.
#pragma once

#include <iosfwd>
#include <string>
#include <string_view>

#include "client_shim/core/client.h"
#include "hsm_signer/config/signer_config.h"
#include "hsm_signer/ctl/json.h"

namespace hsm::ctl {

// Of a public key's file.
inline constexpr std::size_t kPemLimit = 16 * 1024;

struct Globals {
  std::string dir;     // --dir DIR stands for --config DIR/signer.toml.
  std::string config;  // --config FILE
  std::string socket;  // --socket PATH, of the client socket.
  bool json = false;
};

class Context {
 public:
  Context(Globals globals, std::ostream& out, std::ostream& err)
      : globals_{std::move(globals)}, out_{out}, err_{err} {}

  const Globals& globals() const { return globals_; }
  bool json() const { return globals_.json; }

  // The file that --dir or --config names, else /etc/hsm-signer/signer.toml.
  std::string config_path() const;
  Result<SignerConfig> config() const;
  // The directory of --dir, absolute and without symbolic links; usage where none was given: `verb`
  // works on a directory only.
  Result<std::string> directory(std::string_view verb) const;

  Result<client::Client> signer() const;  // Client socket.
  Result<client::Client> admin() const;   // admin.sock
  Result<client::Client> token_admin(const TokenConfig& token) const;
  // The token that `name` or, without a name, the configuration's only [[token]] stands for.
  Result<TokenConfig> token(const std::string& name) const;

  // The answer of the verb: JSON with --json, else text. Called once.
  void answer(const Json& json, std::string_view text);
  bool answered() const { return answered_; }
  // A line for people on the way; silent with --json.
  void note(std::string_view line);
  std::ostream& out() { return out_; }
  std::ostream& err() { return err_; }

 private:
  Globals globals_;
  std::ostream& out_;
  std::ostream& err_;
  bool answered_ = false;
};

// "-" is standard input; too_large beyond `limit`.
Result<std::string> read_input(const std::string& path, std::size_t limit);
// Left-aligned columns, two spaces between; rows[0] is the head.
std::string table(const std::vector<std::vector<std::string>>& rows);

}  // namespace hsm::ctl

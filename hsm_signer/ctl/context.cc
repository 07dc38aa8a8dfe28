#include "hsm_signer/ctl/context.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <ostream>

namespace hsm::ctl {
namespace {

constexpr const char* kConfigFile = "/etc/hsm-signer/signer.toml";
// Control questions wait for a token (10 s at the signer) and for its answer to come back.
constexpr std::chrono::seconds kAdminPatience{15};

client::Options options_for(std::string daemon, std::string start) {
  client::Options options;
  options.program = "hsm-signerctl/" HSM_VERSION;
  options.daemon = std::move(daemon);
  options.start = std::move(start);
  return options;
}

}  // namespace

std::string Context::config_path() const {
  if (!globals_.dir.empty()) return globals_.dir + "/signer.toml";
  return globals_.config.empty() ? kConfigFile : globals_.config;
}

Result<SignerConfig> Context::config() const {
  const std::string path = config_path();
  if (::access(path.c_str(), F_OK) == 0 || errno != ENOENT) return SignerConfig::load(path);
  return fail(Code::usage, "there is no signer.toml",
              path + (globals_.dir.empty()
                          ? "; name the file with --config, or a development directory with --dir"
                          : "; hsm-signerctl --dir " + globals_.dir + " init makes one"));
}

Result<std::string> Context::directory(std::string_view verb) const {
  if (globals_.dir.empty()) {
    return fail(Code::usage, "this verb works on a development directory",
                "say which: hsm-signerctl --dir DIR " + std::string{verb});
  }
  // One spelling for one directory: daemons are recognised by the paths they were started with.
  std::error_code error;
  const auto resolved =
      std::filesystem::weakly_canonical(std::filesystem::absolute(globals_.dir), error);
  if (error) return fail(os_error(Code::usage, "cannot resolve", globals_.dir, error.value()));
  std::string path = resolved.string();
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

Result<client::Client> Context::signer() const {
  std::string configured;
  if (globals_.socket.empty() && !(globals_.dir.empty() && globals_.config.empty())) {
    TRY(const SignerConfig loaded, config());
    configured = loaded.socket;
  }
  const client::Options defaults;
  return client::Client::connect(client::find_socket(globals_.socket, configured),
                                 options_for(defaults.daemon, defaults.start));
}

Result<client::Client> Context::admin() const {
  TRY(const SignerConfig loaded, config());
  const client::Options defaults;
  client::Options options = options_for(defaults.daemon, defaults.start);
  options.patience = kAdminPatience;
  return client::Client::connect(loaded.admin_socket, options);
}

Result<client::Client> Context::token_admin(const TokenConfig& token) const {
  client::Options options = options_for("hsm-tokend",
                                        "hsm-signerctl up --dir DIR' or 'systemctl start "
                                        "hsm-tokend@" +
                                            token.name.value);
  options.patience = kAdminPatience;
  return client::Client::connect(token.admin_socket, options);
}

Result<TokenConfig> Context::token(const std::string& name) const {
  TRY(const SignerConfig loaded, config());
  if (name.empty() && loaded.tokens.size() == 1) return loaded.tokens.front();
  if (const TokenConfig* token = loaded.token(name)) return *token;
  std::string known;
  for (const TokenConfig& token : loaded.tokens)
    known.append(known.empty() ? "" : ", ").append(token.name.value);
  if (name.empty())
    return fail(Code::usage, "there are several tokens; choose with --token", known);
  return fail(Code::usage, "no such token in signer.toml", "there are: " + known);
}

void Context::answer(const Json& json, std::string_view text) {
  answered_ = true;
  out_ << (globals_.json ? json.done() + "\n" : std::string{text});
  out_.flush();
}

void Context::note(std::string_view line) {
  if (!globals_.json) out_ << line << std::endl;
}

Result<std::string> read_input(const std::string& path, std::size_t limit) {
  if (path != "-") {
    TRY(const Bytes bytes, read_file(path, limit));
    return std::string{as_text(bytes)};
  }
  std::string text(limit + 1, '\0');
  std::size_t got = 0;
  while (got < text.size()) {
    const ssize_t n = ::read(STDIN_FILENO, text.data() + got, text.size() - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(os_error(Code::usage, "cannot read", "standard input"));
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  if (got > limit)
    return fail(Code::too_large, "input too large", "limit " + std::to_string(limit) + " bytes");
  text.resize(got);
  return text;
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line.append(row[i]).append(widths[i] - row[i].size() + 2, ' ');
    line.erase(line.find_last_not_of(' ') + 1);
    text.append(line).append("\n");
  }
  return text;
}

}  // namespace hsm::ctl

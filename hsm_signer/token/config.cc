#include "hsm_signer/token/config.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "hsm_signer/base/ids.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/base/toml.h"
#include "hsm_signer/config/signer_config.h"
#include "hsm_signer/token/pin.h"

namespace hsm::token {
namespace {

constexpr std::size_t kConfigLimit = 64 * 1024;

class Reader {
 public:
  Reader(TomlTable table, const std::string& path)
      : table_{std::move(table)}, directory_{std::filesystem::absolute(path).parent_path()} {}

  TomlTable& table() { return table_; }

  std::string absolute(const std::string& path) const {
    return (directory_ / path).lexically_normal().string();
  }

  Result<std::string> path(std::string_view key) {
    TRY(const std::string text, table_.text(key));
    if (text.empty()) return table_.refuse(key, "must name a file");
    return absolute(text);
  }

  Result<std::string> socket(std::string_view key) {
    TRY(std::string whole, path(key));
    if (const auto fits = check_socket_path(whole); !fits)
      return table_.refuse(key, fits.error().sentence());
    return whole;
  }

  // An error of a parser of ours, with the place in the file.
  template <class T>
  Result<T> at(std::string_view key, Result<T> result) {
    if (result) return result;
    return table_.refuse(key, result.error().sentence());
  }

  Result<gid_t> group(std::string_view key) {
    TRY(const std::string text, table_.text_or(key, ""));
    if (text.empty()) return static_cast<gid_t>(-1);
    return at(key, resolve_group(text));
  }

  Result<std::vector<uid_t>> users(std::string_view key) {
    TRY(const std::vector<std::string> names, table_.texts(key));
    std::vector<uid_t> uids;
    for (const std::string& user : names) {
      TRY(const uid_t uid, at(key, resolve_user(user)));
      uids.push_back(uid);
    }
    if (uids.empty()) uids.push_back(::geteuid());
    return uids;
  }

  Result<Mode> mode() {
    TRY(const std::string text, table_.text_or("mode", "production"));
    if (text == "production") return Mode::production;
    if (text == "development") return Mode::development;
    return table_.refuse("mode", "must be \"production\" or \"development\"");
  }

  Result<std::optional<std::vector<std::string>>> directories(std::string_view key) {
    if (!table_.has(key)) return std::optional<std::vector<std::string>>{};
    TRY(std::vector<std::string> paths, table_.texts(key));
    for (std::string& path : paths) {
      if (path.empty()) return table_.refuse(key, "must name directories");
      path = absolute(path);
    }
    return paths;
  }

  Result<std::vector<std::pair<std::string, std::string>>> module_env();

 private:
  TomlTable table_;
  std::filesystem::path directory_;
};

// The loader's own variables would let a module's setting choose what code runs.
bool is_plain_variable(std::string_view name) {
  const auto plain = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !name.empty() && std::all_of(name.begin(), name.end(), plain) &&
         !name.starts_with("LD_") && name != "GLIBC_TUNABLES" && name != "PATH" &&
         name != "OPENSSL_CONF" && name != "OPENSSL_MODULES";
}

Result<std::vector<std::pair<std::string, std::string>>> Reader::module_env() {
  std::vector<std::pair<std::string, std::string>> variables;
  TRY(auto table, table_.table("module_env"));
  if (!table) return variables;
  for (const std::string& name : table->keys()) {
    if (!is_plain_variable(name))
      return table->refuse(name, "not a variable that a module may be given");
    TRY(std::string value, table->text(name));
    variables.emplace_back(name, std::move(value));
  }
  return variables;
}

Result<void> read_token(Reader& reader, Config& config) {
  TomlTable& table = reader.table();
  TRY(config.token, table.text("token"));
  if (!is_name(config.token)) return table.refuse("token", "must match [a-z0-9][a-z0-9._-]{0,31}");
  TRY(const std::string uri, table.text("uri"));
  TRY(config.uri, reader.at("uri", TokenUri::parse(uri)));
  TRY(config.module, table.text("module"));
  if (!config.module.starts_with('/')) return table.refuse("module", "must be an absolute path");
  TRY(const std::string profile, table.text("profile"));
  TRY(config.profile, reader.at("profile", find_profile(profile)));
  const Profile& p = *config.profile;
  TRY(config.module_arguments, table.text_or("module_arguments", ""));
  TRY(config.accept_unfit_token, table.boolean_or("accept_unfit_token", false));
  TRY(const auto workers, table.integer_or("workers", p.workers, 1, p.most_workers));
  TRY(const auto depth, table.integer_or("depth", p.depth, 1, p.depth));
  TRY(const auto limit, table.integer_or("call_deadline_ms", p.call_limit.count(), 10, 60'000));
  config.workers = static_cast<std::uint32_t>(workers);
  config.depth = static_cast<std::uint32_t>(depth);
  config.call_limit = std::chrono::milliseconds{limit};
  TRY(const std::string source, table.text("pin_source"));
  TRY(const std::string pin, reader.at("pin_source", parse_pin_source(source)));
  config.pin_file = reader.absolute(pin);
  TRY(config.module_env, reader.module_env());
  TRY(config.module_writes, reader.directories("module_writes"));
  return {};
}

Result<void> read_places(Reader& reader, Config& config) {
  TRY(config.socket, reader.socket("socket"));
  TRY(config.admin_socket, reader.socket("admin_socket"));
  if (config.socket == config.admin_socket)
    return reader.table().refuse("admin_socket", "must differ from socket: the socket is the role");
  TRY(config.socket_group, reader.group("socket_group"));
  TRY(config.admin_group, reader.group("admin_group"));
  TRY(config.clients, reader.users("clients"));
  TRY(config.admin_clients, reader.users("admin_clients"));
  TRY(config.state_dir, reader.path("state_dir"));
  TRY(config.ceilings, reader.path("ceilings"));
  if (reader.table().has("allowed_officers")) {
    TRY(config.allowed_officers, reader.path("allowed_officers"));
  }
  TRY(config.wrap_public, reader.path("wrap_public"));
  TRY(config.audit_public, reader.path("audit_public"));
  if (config.profile->way != SecretWay::decrypted_in_host) return {};
  TRY(config.wrap_private, reader.path("wrap_private"));
  return {};
}

}  // namespace

Result<Config> Config::load(const std::string& path) {
  TRY(const Bytes bytes, read_file(path, kConfigLimit));
  return parse(as_text(bytes), path);
}

Result<Config> Config::parse(std::string_view text, const std::string& path) {
  TRY(TomlTable table, TomlTable::parse(text, path));
  Reader reader{std::move(table), path};
  TRY_VOID(reader.table().integer("version", 1, 1));
  Config config;
  config.file = path;
  config.text = text;
  TRY(config.mode, reader.mode());
  TRY_VOID(read_token(reader, config));
  TRY_VOID(read_places(reader, config));
  TRY_VOID(reader.table().finish());
  return config;
}

std::string_view config_example() {
  return R"(version = 1
token = "desk"
uri = "pkcs11:token=desk"
module = "/usr/lib/softhsm/libsofthsm2.so"
profile = "softhsm"
workers = 2
pin_source = "file:/etc/hsm-tokend/desk.pin"
socket = "/run/hsm-tokend/desk.sock"
admin_socket = "/run/hsm-tokend/desk.admin.sock"
clients = ["0"]
admin_clients = ["0"]
state_dir = "/var/lib/hsm-tokend/desk"
ceilings = "/etc/hsm-tokend/ceilings.toml"
allowed_officers = "/etc/hsm-tokend/allowed_officers"
wrap_public = "/etc/hsm-tokend/wrap-desk.pub.pem"
audit_public = "/var/lib/hsm-tokend/desk/audit.pub.pem"
call_deadline_ms = 5000
module_env = { SOFTHSM2_CONF = "/etc/softhsm/softhsm2.conf" }
module_writes = ["/var/lib/softhsm/tokens"]
)";
}

}  // namespace hsm::token

#include "hsm_signer/config/signer_config.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <set>

#include "hsm_signer/base/duration.h"
#include "hsm_signer/base/hash.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/base/toml.h"

namespace hsm {
namespace {

constexpr std::size_t kFileLimit = 1 << 20;
constexpr std::int64_t kMostOfficers = 8;  // As many signatures as a bundle holds.
constexpr std::chrono::seconds kMostOften{1}, kLeastOften{3600};  // Of anchoring.
constexpr unsigned kNobody = 65534;
constexpr unsigned kNone = static_cast<unsigned>(-1);  // "No change" to chown(2), nobody's id.
constexpr gid_t kUnchanged = kNone;

std::optional<unsigned> number(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

class Reader {
 public:
  Reader(TomlTable table, const std::string& path)
      : table_{std::move(table)}, directory_{std::filesystem::absolute(path).parent_path()} {}

  TomlTable& table() { return table_; }

  Result<std::string> path(TomlTable& table, std::string_view key, bool socket = false) {
    TRY(const std::string text, table.text(key));
    if (text.empty()) return table.refuse(key, "must name a file");
    std::string whole = (directory_ / text).lexically_normal().string();
    if (socket) {
      if (const auto fits = check_socket_path(whole); !fits)
        return table.refuse(key, fits.error().sentence());
    }
    return whole;
  }

  Result<gid_t> group(std::string_view key) {
    TRY(const std::string text, table_.text_or(key, ""));
    if (text.empty()) return kUnchanged;
    const auto gid = resolve_group(text);
    if (!gid) return table_.refuse(key, gid.error().sentence());
    return *gid;
  }

  Result<std::vector<uid_t>> users(std::string_view key) {
    TRY(const std::vector<std::string> names, table_.texts(key));
    std::vector<uid_t> uids;
    for (const std::string& user : names) {
      const auto uid = resolve_user(user);
      if (!uid) return table_.refuse(key, uid.error().sentence());
      uids.push_back(*uid);
    }
    if (uids.empty()) uids.push_back(::geteuid());
    return uids;
  }

  Result<std::optional<OfficersConfig>> officers() {
    TRY(auto inner, table_.table("officers"));
    if (!inner) return std::optional<OfficersConfig>{};
    OfficersConfig officers;
    TRY(officers.file, path(*inner, "file"));
    TRY(officers.group, inner->text("group"));
    if (!is_name(officers.group))
      return inner->refuse("group", "must match [a-z0-9][a-z0-9._-]{0,31}");
    TRY(const std::int64_t need, inner->integer("need", 1, kMostOfficers));
    officers.need = static_cast<std::uint32_t>(need);
    TRY_VOID(inner->finish());
    return std::optional<OfficersConfig>{std::move(officers)};
  }

  Result<std::vector<TokenConfig>> tokens() {
    TRY(std::vector<TomlTable> tables, table_.tables("token"));
    if (tables.empty()) return table_.refuse({}, "missing key", "[[token]]");
    std::vector<TokenConfig> tokens;
    std::set<std::string> names;
    for (TomlTable& table : tables) {
      TokenConfig token;
      TRY(token.name.value, table.text("name"));
      if (!is_name(token.name.value))
        return table.refuse("name", "must match [a-z0-9][a-z0-9._-]{0,31}");
      if (!names.insert(token.name.value).second)
        return table.refuse("name", "names a token twice");
      TRY(token.socket, path(table, "socket", true));
      TRY(token.admin_socket, path(table, "admin_socket", true));
      TRY(token.wrap_key, path(table, "wrap_key"));
      TRY_VOID(table.finish());
      tokens.push_back(std::move(token));
    }
    return tokens;
  }

 private:
  TomlTable table_;
  std::filesystem::path directory_;
};

Result<SignerConfig::Mode> read_mode(TomlTable& table) {
  TRY(const std::string text, table.text_or("mode", "production"));
  if (text == "production") return SignerConfig::Mode::production;
  if (text == "development") return SignerConfig::Mode::development;
  return table.refuse("mode", "must be \"production\" or \"development\"");
}

// Whoever may rewrite the log could rewrite an anchor beside it.
bool lies_within(const std::string& file, const std::string& directory) {
  const std::filesystem::path inside = std::filesystem::path{file}.lexically_relative(directory);
  return !inside.empty() && *inside.begin() != "..";
}

Result<void> read_anchor(Reader& reader, SignerConfig& config) {
  TomlTable& table = reader.table();
  if (table.has("audit_anchor")) {
    TRY(config.audit_anchor, reader.path(table, "audit_anchor"));
    if (lies_within(config.audit_anchor, config.audit))
      return table.refuse("audit_anchor", "must not lie in the audit directory",
                          "whoever can rewrite one could rewrite the other");
  }
  TRY(const std::string text, table.text_or("audit_anchor_every", "1m"));
  const Result<std::chrono::seconds> every = parse_duration(text);
  if (!every) return table.refuse("audit_anchor_every", every.error().sentence());
  if (*every < kMostOften || *every > kLeastOften)
    return table.refuse("audit_anchor_every", "out of range: 1s to 1h");
  config.audit_anchor_every = *every;
  return {};
}

}  // namespace

Result<uid_t> resolve_user(const std::string& name_or_number) {
  const passwd* entry = nullptr;
  auto uid = number(name_or_number);
  if (!uid && (entry = ::getpwnam(name_or_number.c_str())) != nullptr) uid = entry->pw_uid;
  if (!uid) return fail(Code::usage, "no such user", name_or_number);
  if (*uid == kNone) return fail(Code::usage, "this number is no user's", name_or_number);
  if (*uid == kNobody)
    return fail(Code::usage, "uid 65534 stands for anybody and may not be named", name_or_number);
  return *uid;
}

Result<gid_t> resolve_group(const std::string& name_or_number) {
  const group* entry = nullptr;
  auto gid = number(name_or_number);
  if (!gid && (entry = ::getgrnam(name_or_number.c_str())) != nullptr) gid = entry->gr_gid;
  if (!gid) return fail(Code::usage, "no such group", name_or_number);
  if (*gid == kNone) return fail(Code::usage, "this number is no group's", name_or_number);
  return *gid;
}

Result<SignerConfig> SignerConfig::load(const std::string& path) {
  TRY(const Bytes bytes, read_file(path, kFileLimit, Code::usage));
  return parse(as_text(bytes), path);
}

Result<SignerConfig> SignerConfig::parse(std::string_view text, const std::string& path) {
  TRY(TomlTable root, TomlTable::parse(text, path));
  Reader reader{std::move(root), path};
  TomlTable& table = reader.table();
  SignerConfig config;
  config.file = path;
  config.file_sha256 = hex_encode(sha256(as_bytes(text)));
  TRY_VOID(table.integer("version", 1, 1));
  TRY(config.mode, read_mode(table));
  TRY(config.socket, reader.path(table, "socket", true));
  TRY(config.admin_socket, reader.path(table, "admin_socket", true));
  TRY(config.state, reader.path(table, "state"));
  TRY(config.audit, reader.path(table, "audit"));
  TRY(config.audit_key, reader.path(table, "audit_key"));
  TRY(const std::int64_t segment,
      table.integer_or("audit_segment_bytes", 64 << 20, 4096, std::int64_t{1} << 40));
  config.audit_segment_bytes = static_cast<std::uint64_t>(segment);
  TRY(const std::int64_t reserve,
      table.integer_or("audit_reserve_bytes", 4 << 20, 0, std::int64_t{1} << 30));
  config.audit_reserve_bytes = static_cast<std::uint64_t>(reserve);
  TRY(const std::int64_t low_water,
      table.integer_or("audit_low_water_bytes", 256 << 20, 0, std::int64_t{1} << 50));
  config.audit_low_water_bytes = static_cast<std::uint64_t>(low_water);
  TRY_VOID(read_anchor(reader, config));
  TRY(config.policy, reader.path(table, "policy"));
  TRY(config.admins, reader.users("admins"));
  TRY(config.socket_group, reader.group("socket_group"));
  TRY(config.admin_group, reader.group("admin_group"));
  TRY(const std::int64_t deadline, table.integer_or("deadline_ms", 5000, 1, 60'000));
  config.deadline = std::chrono::milliseconds{deadline};
  TRY(config.officers, reader.officers());
  TRY(config.tokens, reader.tokens());
  TRY_VOID(table.finish());
  return config;
}

const TokenConfig* SignerConfig::token(std::string_view name) const {
  const auto found = std::find_if(tokens.begin(), tokens.end(), [&](const TokenConfig& token) {
    return token.name.value == name;
  });
  return found == tokens.end() ? nullptr : &*found;
}

}  // namespace hsm

#include "hsm_signer/policy/identities.h"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <memory>

#include "hsm_signer/base/os.h"

namespace hsm::policy {
namespace {

// Enough for a group with thousands of members, whose names getgrnam_r(3) returns too.
constexpr std::size_t kEntryBuffer = 1 << 18;

bool is_number(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "1000", not "01000"; (uid_t)-1 means "no change" to chown(2) and is nobody's.
std::optional<std::uint32_t> id_from_number(std::string_view text) {
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  if (id == std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  return id;
}

using Lookup = std::function<std::optional<std::uint32_t>(const std::string&)>;

// uid_t and gid_t are both 32 bits on Linux, and both overflow to the same number.
static_assert(sizeof(uid_t) == 4 && sizeof(gid_t) == 4 && kOverflowUid == kOverflowGid);
Result<std::uint32_t> read_id(TomlTable& table, std::string_view key, std::string_view noun,
                              const Lookup& lookup, const std::function<std::string()>& remark) {
  TRY(const std::string text, table.text(key));
  const bool number = is_number(text);
  const std::optional<std::uint32_t> id = number ? id_from_number(text) : lookup(text);
  if (!id && number) return table.refuse(key, "not a number that the system gives out", text);
  if (!id)
    return table.refuse(key, std::string{"there is no "}.append(noun),
                        remark ? text + remark() : text);
  if (*id == kOverflowUid)
    return table.refuse(key, "65534 stands for whom the kernel cannot name, never for a client");
  return *id;
}

// passwd(5) or group(5): in both a name comes first and its number third.
class NameFile {
 public:
  explicit NameFile(std::string path) : path_{std::move(path)} {}

  const std::string& path() const { return path_; }
  // Why nothing was found; empty where the file was read.
  const std::string& trouble() const { return trouble_; }

  std::optional<std::uint32_t> find(const std::string& name) {
    if (!text_ && trouble_.empty()) read();
    std::string_view rest = text_ ? std::string_view{*text_} : std::string_view{};
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(line.size() + 1, rest.size()));
      if (line.substr(0, line.find(':')) == name) return id_in(line);
    }
    return std::nullopt;
  }

 private:
  static std::optional<std::uint32_t> id_in(std::string_view line) {
    for (int field = 0; field < 2; ++field) {
      const std::size_t colon = line.find(':');
      if (colon == line.npos) return std::nullopt;
      line.remove_prefix(colon + 1);
    }
    return id_from_number(line.substr(0, line.find(':')));
  }
  void read() {
    constexpr std::size_t kLimit = 16 << 20;
    const Result<Bytes> bytes = read_file(path_, kLimit);
    if (bytes)
      text_ = std::string{as_text(*bytes)};
    else
      trouble_ = bytes.error().sentence() +
                 ": a file that was replaced since the signer started is out of its reach; write "
                 "the number, or restart the signer";
  }

  std::string path_;
  std::optional<std::string> text_;
  std::string trouble_;
};

}  // namespace

Resolver system_resolver() {
  Resolver resolver;
  resolver.user = [](const std::string& name) -> std::optional<uid_t> {
    std::string buffer(kEntryBuffer, '\0');
    passwd entry{};
    passwd* found = nullptr;
    if (getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0)
      return std::nullopt;
    return found != nullptr ? std::optional{found->pw_uid} : std::nullopt;
  };
  resolver.group = [](const std::string& name) -> std::optional<gid_t> {
    std::string buffer(kEntryBuffer, '\0');
    group entry{};
    group* found = nullptr;
    if (getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0)
      return std::nullopt;
    return found != nullptr ? std::optional{found->gr_gid} : std::nullopt;
  };
  return resolver;
}

Resolver files_resolver(std::string passwd, std::string group) {
  const auto users = std::make_shared<NameFile>(std::move(passwd));
  const auto groups = std::make_shared<NameFile>(std::move(group));
  Resolver resolver;
  resolver.user = [users](const std::string& name) { return users->find(name); };
  resolver.group = [groups](const std::string& name) { return groups->find(name); };
  resolver.remark = [users, groups] {
    for (const auto& file : {users, groups})
      if (!file->trouble().empty()) return " (" + file->trouble() + ")";
    return " in " + users->path() + " and " + groups->path() +
           ", where alone names are looked up while the signer runs: write the number, or restart "
           "the signer";
  };
  return resolver;
}

Result<uid_t> read_uid(TomlTable& table, const Resolver& resolver) {
  return read_id(table, "uid", "user", resolver.user, resolver.remark);
}

Result<std::optional<gid_t>> read_gid(TomlTable& table, const Resolver& resolver) {
  if (!table.has("gid")) return std::optional<gid_t>{};
  TRY(const std::uint32_t id, read_id(table, "gid", "group", resolver.group, resolver.remark));
  return std::optional<gid_t>{id};
}

}  // namespace hsm::policy

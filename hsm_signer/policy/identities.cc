#include "hsm_signer/policy/identities.h"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <charconv>
#include <limits>

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
                              const Lookup& lookup) {
  TRY(const std::string text, table.text(key));
  const bool number = is_number(text);
  const std::optional<std::uint32_t> id = number ? id_from_number(text) : lookup(text);
  if (!id && number) return table.refuse(key, "not a number that the system gives out", text);
  if (!id) return table.refuse(key, std::string{"there is no "}.append(noun), text);
  if (*id == kOverflowUid)
    return table.refuse(key, "65534 stands for whom the kernel cannot name, never for a client");
  return *id;
}

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

Result<uid_t> read_uid(TomlTable& table, const Resolver& resolver) {
  return read_id(table, "uid", "user", resolver.user);
}

Result<std::optional<gid_t>> read_gid(TomlTable& table, const Resolver& resolver) {
  if (!table.has("gid")) return std::optional<gid_t>{};
  TRY(const std::uint32_t id, read_id(table, "gid", "group", resolver.group));
  return std::optional<gid_t>{id};
}

}  // namespace hsm::policy

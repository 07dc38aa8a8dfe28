#include "hsm_signer/officers/allowed.h"

#include <algorithm>
#include <array>

#include "hsm_signer/base/ids.h"
#include "hsm_signer/base/terms.h"
#include "hsm_signer/base/toml.h"

namespace hsm::officers {
namespace {

constexpr std::size_t kMostOfficers = 256;
constexpr std::size_t kMostKeys = 16;
constexpr std::size_t kMostGroups = 16;
constexpr std::string_view kNameRule = "must match [a-z0-9][a-z0-9._-]{0,31}";

constexpr std::array kRequires{Spelling<Require>{Require::presence, "presence"},
                               Spelling<Require>{Require::verification, "verification"}};

Result<void> read_keys(TomlTable& table, Officer& officer) {
  TRY(const std::vector<std::string> lines, table.texts("keys"));
  if (lines.empty()) return table.refuse(table.has("keys") ? "keys" : "", "the officer has no key");
  if (lines.size() > kMostKeys)
    return table.refuse("keys", "too many keys", "at most " + std::to_string(kMostKeys));
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto key = PublicKey::from_line(lines[i]);
    const std::string number = "key " + std::to_string(i + 1);
    if (!key) return table.refuse("keys", key.error().what, number + ": " + key.error().detail);
    officer.keys.push_back({key->type(), key->blob(), key->material(), key->fingerprint()});
  }
  return {};
}

Result<void> read_groups(TomlTable& table, Officer& officer) {
  TRY(officer.groups, table.texts("groups"));
  if (officer.groups.empty())
    return table.refuse(table.has("groups") ? "groups" : "", "the officer is in no group");
  if (officer.groups.size() > kMostGroups)
    return table.refuse("groups", "too many groups", "at most " + std::to_string(kMostGroups));
  for (auto group = officer.groups.begin(); group != officer.groups.end(); ++group) {
    if (!is_name(*group)) return table.refuse("groups", kNameRule);
    if (std::find(officer.groups.begin(), group, *group) != group)
      return table.refuse("groups", "a group stands twice", *group);
  }
  return {};
}

Result<void> read_require(TomlTable& table, Officer& officer) {
  if (!table.has("require")) return {};
  TRY(const std::string text, table.text("require"));
  const auto known = from_spelling(kRequires, text);
  if (!known) return table.refuse("require", "must be \"presence\" or \"verification\"");
  for (const OfficerKey& key : officer.keys) {
    if (!is_security_key(key.type))
      return table.refuse("require", "only a security key (sk-) can show that",
                          key.fingerprint + " is " + std::string{name(key.type)});
  }
  officer.require = *known;
  return {};
}

Result<Officer> read_officer(TomlTable& table) {
  Officer officer;
  TRY(officer.name, table.text("name"));
  if (!is_name(officer.name)) return table.refuse("name", kNameRule);
  TRY_VOID(read_keys(table, officer));
  TRY_VOID(read_groups(table, officer));
  TRY_VOID(read_require(table, officer));
  TRY_VOID(table.finish());
  return officer;
}

// One private key must not make two persons, nor look like two keys of one.
Result<void> check_keys_are_new(const TomlTable& table, const std::vector<Officer>& before,
                                const Officer& officer) {
  for (auto key = officer.keys.begin(); key != officer.keys.end(); ++key) {
    const auto same = [&](const OfficerKey& other) { return other.material == key->material; };
    if (std::any_of(officer.keys.begin(), key, same))
      return table.refuse("keys", "a key stands twice", key->fingerprint);
    for (const Officer& other : before) {
      if (std::any_of(other.keys.begin(), other.keys.end(), same))
        return table.refuse("keys", "another officer has this key",
                            key->fingerprint + " is " + other.name + "'s too");
    }
  }
  return {};
}

}  // namespace

bool Officer::is_in(std::string_view group) const {
  return std::find(groups.begin(), groups.end(), group) != groups.end();
}

Result<AllowedOfficers> AllowedOfficers::parse(std::string_view text,
                                               const std::string& file_name) {
  TRY(TomlTable file, TomlTable::parse(text, file_name));
  TRY_VOID(file.integer("version", 1, 1));
  TRY(std::vector<TomlTable> tables, file.tables("officer"));
  TRY_VOID(file.finish());
  if (tables.size() > kMostOfficers)
    return file.refuse("officer", "too many officers", "at most " + std::to_string(kMostOfficers));
  AllowedOfficers allowed;
  for (TomlTable& table : tables) {
    TRY(Officer officer, read_officer(table));
    for (const Officer& other : allowed.officers_) {
      if (other.name == officer.name)
        return table.refuse("name", "stands twice in this file", officer.name);
    }
    TRY_VOID(check_keys_are_new(table, allowed.officers_, officer));
    allowed.officers_.push_back(std::move(officer));
  }
  return allowed;
}

const Officer* AllowedOfficers::owner_of(ByteView key_blob) const {
  for (const Officer& officer : officers_) {
    for (const OfficerKey& key : officer.keys) {
      if (std::equal(key.blob.begin(), key.blob.end(), key_blob.begin(), key_blob.end()))
        return &officer;
    }
  }
  return nullptr;
}

Result<const Officer*> AllowedOfficers::officer_of(const Verified& signature) const {
  const Officer* const officer = owner_of(signature.key());
  if (officer == nullptr) return fail(Code::denied, "no officer's key", signature.fingerprint());
  if (!is_security_key(signature.type())) return officer;
  if (!signature.user_present())
    return fail(Code::denied, "the security key was not touched", officer->name);
  if (officer->require == Require::verification && !signature.user_verified())
    return fail(Code::denied, "the security key was not unlocked with a PIN or a finger",
                officer->name);
  return officer;
}

}  // namespace hsm::officers

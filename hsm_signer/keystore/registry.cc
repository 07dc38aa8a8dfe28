#include "hsm_signer/keystore/registry.h"

#include <algorithm>
#include <bitset>
#include <tuple>
#include <utility>

namespace hsm::keystore {
namespace {

constexpr std::size_t kOwnerLimit = 128;
// From here on they are the token host's own (docs/protocol.md, import).
constexpr std::size_t kReservedCkaIds = 0xff00;

std::string named(std::string_view key, std::uint32_t version) { return key_label(key, version); }

Result<void> well_formed(const NewVersion& wanted) {
  if (!is_name(wanted.key.value))
    return fail(Code::denied, "not a key name: 1 to 32 of a-z 0-9 . _ -, a letter or digit first");
  if (!is_name(wanted.token.value)) return fail(Code::denied, "not a token name");
  if (!is_api_key_id(wanted.api_key_id.value))
    return fail(Code::denied, "not an API key id: 1 to 64 of A-Z a-z 0-9 _ -");
  if (wanted.cka_id == 0) return fail(Code::denied, "CKA_ID 0 is never given");
  if (wanted.roles == 0) return fail(Code::denied, "a key needs at least one role");
  if (wanted.owner.size() > kOwnerLimit) return fail(Code::denied, "the owner's name is too long");
  return {};
}

bool by_name_and_number(const KeyVersion& a, const KeyVersion& b) {
  return std::tie(a.key.value, a.version) < std::tie(b.key.value, b.version);
}

tl::unexpected<Error> wrong_state(const KeyVersion& version, std::string_view wanted) {
  return fail(
      Code::key_not_active, "the key version is in another state",
      version.label() + " is " + std::string{name(version.state)} + ", not " + std::string{wanted});
}

}  // namespace

const Registry::Key* Registry::key(std::string_view name) const {
  const auto found = keys_.find(std::string{name});
  return found == keys_.end() ? nullptr : &found->second;
}

const KeyVersion* Registry::active(std::string_view name) const {
  const Key* found = key(name);
  return found == nullptr || found->active == 0 ? nullptr : &found->versions[found->active - 1];
}

const KeyVersion* Registry::newest(std::string_view name) const {
  const Key* found = key(name);
  return found == nullptr ? nullptr : &found->versions.back();
}

const KeyVersion* Registry::find(std::string_view name, std::uint32_t version) const {
  const Key* found = key(name);
  if (found == nullptr || version == 0 || version > found->versions.size()) return nullptr;
  return &found->versions[version - 1];
}

const KeyVersion* Registry::by_label(std::string_view label) const {
  // Key names may hold dots, and even ".v2", so the last one counts; then the label must come out
  // the same, which refuses ".v02" and the like.
  const std::size_t dot = label.rfind(".v");
  if (dot == std::string_view::npos) return nullptr;
  const Key* found = key(label.substr(0, dot));
  if (found == nullptr) return nullptr;
  for (const KeyVersion& version : found->versions) {
    if (version.label() == label) return &version;
  }
  return nullptr;
}

std::vector<const KeyVersion*> Registry::all() const {
  std::vector<const KeyVersion*> rows;
  for (const auto& [name, key] : keys_) {
    for (const KeyVersion& version : key.versions) rows.push_back(&version);
  }
  std::sort(rows.begin(), rows.end(),
            [](const auto* a, const auto* b) { return by_name_and_number(*a, *b); });
  return rows;
}

Result<CkaId> Registry::unused_cka_id(const TokenName& token) const {
  std::bitset<kReservedCkaIds> used;
  used.set(0);
  for (const auto& [name, key] : keys_) {
    for (const KeyVersion& version : key.versions) {
      if (version.token == token && version.cka_id < kReservedCkaIds) used.set(version.cka_id);
    }
  }
  for (std::size_t id = 1; id < used.size(); ++id) {
    if (!used[id]) return static_cast<CkaId>(id);
  }
  return fail(Code::overloaded, "every CKA_ID of the token has been given once", token.value);
}

// What the new version must have in common with those that are there.
Result<void> Registry::fits(const NewVersion& wanted) const {
  for (const auto& [name, key] : keys_) {
    for (const KeyVersion& known : key.versions) {
      if (known.token == wanted.token && known.cka_id == wanted.cka_id)
        return fail(Code::denied, "a CKA_ID is never given twice in one token",
                    std::to_string(wanted.cka_id) + " was given to " + known.label());
      // Policies and audit records speak of the name: it may not change its meaning.
      if (known.key == wanted.key &&
          (known.environment != wanted.environment || known.scope != wanted.scope))
        return fail(Code::denied, "all versions of a key have one environment and one scope",
                    known.label() + " is " + std::string{hsm::name(known.environment)} + ", " +
                        std::string{hsm::name(known.scope)});
      if (known.api_key_id != wanted.api_key_id) continue;
      if (known.nonce_form != wanted.nonce_form)
        return fail(Code::denied, "nonce forms are never mixed on one API key",
                    known.label() + " has it as " + std::string{nonce::name(known.nonce_form)});
      if (known.environment != wanted.environment || known.scope != wanted.scope)
        return fail(Code::denied, "an API key id has one environment and one scope",
                    known.label() + " is " + std::string{hsm::name(known.environment)} + ", " +
                        std::string{hsm::name(known.scope)});
    }
  }
  return {};
}

Result<Change> Registry::register_version(const NewVersion& wanted, Clock::Wall now) const {
  TRY_VOID(well_formed(wanted));
  TRY_VOID(fits(wanted));
  const Key* known = key(wanted.key.value);
  KeyVersion row{
      .key = wanted.key,
      .version = known == nullptr ? 1U : static_cast<std::uint32_t>(known->versions.size()) + 1,
      .token = wanted.token,
      .cka_id = wanted.cka_id,
      .api_key_id = wanted.api_key_id,
      .environment = wanted.environment,
      .scope = wanted.scope,
      .roles = wanted.roles,
      .nonce_form = wanted.nonce_form,
      .kcv = wanted.kcv,
      .state = VersionState::staged,
      .owner = wanted.owner,
      .created = now,
      .activated = {},
      .ended = {}};
  return Change{{std::move(row)}, generation_};
}

Result<const KeyVersion*> Registry::require(std::string_view name, std::uint32_t version) const {
  const KeyVersion* found = find(name, version);
  if (found != nullptr) return found;
  return fail(
      Code::denied, "there is no such key version",
      is_name(name) ? named(name, version) : std::string{"version "} + std::to_string(version));
}

Result<Change> Registry::activate(std::string_view name, std::uint32_t version,
                                  const KeyCheckValue& kcv, Clock::Wall now) const {
  TRY(const KeyVersion* found, require(name, version));
  if (found->state != VersionState::staged) return wrong_state(*found, "staged");
  if (found->kcv != kcv)
    return fail(Code::denied, "the token holds another secret than was registered", found->label());
  Change change{{*found}, generation_};
  change.rows[0].state = VersionState::active;
  change.rows[0].activated = now;
  if (const KeyVersion* before = active(name)) {
    change.rows.push_back(*before);
    change.rows[1].state = VersionState::draining;
  }
  return change;
}

Result<Change> Registry::retire(std::string_view name, std::uint32_t version,
                                Clock::Wall now) const {
  TRY(const KeyVersion* found, require(name, version));
  if (found->state == VersionState::retired || found->state == VersionState::destroyed)
    return wrong_state(*found, "staged, active or draining");
  Change change{{*found}, generation_};
  change.rows[0].state = VersionState::retired;
  change.rows[0].ended = now;
  return change;
}

Result<Change> Registry::destroyed(std::string_view name, std::uint32_t version,
                                   Clock::Wall now) const {
  TRY(const KeyVersion* found, require(name, version));
  if (found->state != VersionState::retired) return wrong_state(*found, "retired");
  Change change{{*found}, generation_};
  change.rows[0].state = VersionState::destroyed;
  change.rows[0].ended = now;
  return change;
}

Result<void> Registry::apply(const Change& change) {
  if (change.generation != generation_)
    return fail(Code::internal, "the registry has changed since this change was planned");
  for (const KeyVersion& row : change.rows) {
    Key& key = keys_[row.key.value];
    if (row.version > key.versions.size()) key.versions.resize(row.version);
    key.versions[row.version - 1] = row;
  }
  for (const KeyVersion& row : change.rows) {
    Key& key = keys_[row.key.value];
    key.active = 0;
    for (const KeyVersion& version : key.versions) {
      if (version.state == VersionState::active) key.active = version.version;
    }
  }
  ++generation_;
  return {};
}

Result<Registry> Registry::restore(std::vector<KeyVersion> rows) {
  std::sort(rows.begin(), rows.end(), by_name_and_number);
  Registry registry;
  for (KeyVersion& row : rows) {
    const std::string label = row.label();
    const auto damaged = [&](std::string_view why) {
      return fail(Code::state_unavailable, "the stored keys contradict each other",
                  label + ": " + std::string{why});
    };
    const NewVersion as_new{row.key,   row.token, row.cka_id,     row.api_key_id, row.environment,
                            row.scope, row.roles, row.nonce_form, row.kcv,        row.owner};
    Result<Change> change = registry.register_version(as_new, row.created);
    if (!change) return damaged(change.error().sentence());
    if (change->rows[0].version != row.version) return damaged("its number is not the next one");
    if (row.state == VersionState::active && registry.active(row.key.value) != nullptr)
      return damaged("a second active version");
    change->rows[0] = std::move(row);
    TRY_VOID(registry.apply(*change));
  }
  return registry;
}

}  // namespace hsm::keystore

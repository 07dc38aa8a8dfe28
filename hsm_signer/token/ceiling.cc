#include "hsm_signer/token/ceiling.h"

#include <algorithm>

#include "hsm_signer/base/ids.h"
#include "hsm_signer/base/toml.h"
#include "hsm_signer/token/vault.h"
#include "hsm_signer/venue/payload.h"

namespace hsm::token {
namespace {

using venue::Class;

constexpr std::uint32_t bit(Class cls) { return 1U << static_cast<unsigned>(cls); }
constexpr std::uint32_t kDangerous = bit(Class::move) | bit(Class::widen) | bit(Class::admin);
constexpr std::uint32_t kMostRate = 1'000'000;
constexpr std::string_view kEveryKey = "*";

Result<void> read_classes(TomlTable& table, Ceiling& ceiling) {
  TRY(const std::vector<std::string> names, table.texts("classes"));
  ceiling.classes = 0;
  for (const std::string& name : names) {
    Class cls{};
    if (!venue::class_from_name(name, cls))
      return table.refuse("classes", "not a class",
                          "read, cancel, trade, session, move, widen, admin");
    if (ceiling.permits(cls)) return table.refuse("classes", "a class stands twice", name);
    ceiling.classes |= bit(cls);
  }
  if (names.empty())
    return table.refuse(table.has("classes") ? "classes" : "", "the entry names no class");
  return {};
}

// `officers` is a table, or the number 0 for a sandbox key.
Result<void> read_officers(TomlTable& table, Ceiling& ceiling) {
  if (!table.has("officers")) {
    if ((ceiling.classes & kDangerous) != 0)
      return table.refuse("classes", "move, widen and admin need officers",
                          "officers = { group = \"officers\", need = 2 }; 0 for sandbox keys only");
    return {};
  }
  auto group = table.table("officers");
  if (!group) {
    TRY_VOID(table.integer("officers", 0, 0));
    if (ceiling.environment == Environment::production)
      return table.refuse("officers", "0 is for sandbox keys only");
    return {};
  }
  TomlTable& officers = **group;
  Quorum quorum{};
  TRY(quorum.group, officers.text("group"));
  if (!is_name(quorum.group))
    return officers.refuse("group", "must match [a-z0-9][a-z0-9._-]{0,31}");
  TRY(const auto need, officers.integer("need", 1, 16));
  quorum.need = static_cast<std::uint32_t>(need);
  TRY_VOID(officers.finish());
  ceiling.officers = std::move(quorum);
  return {};
}

Result<Ceiling> read_ceiling(TomlTable& table) {
  Ceiling ceiling;
  TRY(const std::string environment, table.text("environment"));
  const auto known = from_spelling(kEnvironments, environment);
  if (!known) return table.refuse("environment", "must be \"production\" or \"sandbox\"");
  ceiling.environment = *known;
  TRY_VOID(read_classes(table, ceiling));
  TRY(const auto rate, table.integer_or("rate", ceiling.rate, 1, kMostRate));
  ceiling.rate = static_cast<std::uint32_t>(rate);
  TRY(const bool ws_login, table.boolean_or("ws_login", false));
  if (ws_login) return table.refuse("ws_login", "not supported yet");
  TRY_VOID(read_officers(table, ceiling));
  return ceiling;
}

Result<void> check_label(const TomlTable& table, const std::string& label, const Ceiling& ceiling,
                         Mode mode) {
  if (label != kEveryKey) {
    if (!is_name(label) && !parse_key_label(label))
      return table.refuse("label",
                          "must be the name of a key, for all its versions, or the exact CKA_LABEL "
                          "\"name.vN\" of one");
    return {};
  }
  if (mode != Mode::development)
    return table.refuse("label", "\"*\" is for mode = \"development\" only; name each key");
  if (ceiling.environment != Environment::sandbox)
    return table.refuse("label", "\"*\" is for environment = \"sandbox\" only");
  return {};
}

}  // namespace

Ceiling Ceiling::without_entry() {
  Ceiling ceiling;
  ceiling.classes = bit(Class::read) | bit(Class::cancel) | bit(Class::trade) | bit(Class::session);
  return ceiling;
}

Result<Ceilings> Ceilings::load(const std::string& path, Mode mode) {
  TRY(const Bytes bytes, read_operator_file(path, owner_of_files(mode)));
  return parse(as_text(bytes), path, mode);
}

Result<Ceilings> Ceilings::parse(std::string_view text, const std::string& name, Mode mode) {
  TRY(TomlTable file, TomlTable::parse(text, name));
  TRY_VOID(file.integer("version", 1, 1));
  TRY(std::vector<TomlTable> tables, file.tables("key"));
  TRY_VOID(file.finish());
  Ceilings ceilings;
  for (TomlTable& table : tables) {
    TRY(std::string label, table.text("label"));
    TRY(Ceiling ceiling, read_ceiling(table));
    TRY_VOID(check_label(table, label, ceiling, mode));
    TRY_VOID(table.finish());
    for (const Entry& entry : ceilings.entries_) {
      if (entry.label == label) return table.refuse("label", "stands twice in this file", label);
    }
    ceilings.entries_.push_back({std::move(label), std::move(ceiling)});
  }
  return ceilings;
}

const Ceiling& Ceilings::of(std::string_view label) const {
  const auto parsed = parse_key_label(label);
  if (!parsed) return without_entry_;
  // A name may itself end in ".vN": "x.v1" is the label of a version of x and the name of the key
  // of "x.v1.v1". Who wrote the label meant that version, hence this order.
  for (const std::string_view wanted : {label, parsed->name, kEveryKey}) {
    const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                    [&](const Entry& other) { return other.label == wanted; });
    if (entry != entries_.end()) return entry->ceiling;
  }
  return without_entry_;
}

bool Ceilings::demand_officers() const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [](const Entry& entry) { return entry.ceiling.officers.has_value(); });
}

Result<std::string> payload_of(ByteView message, std::size_t base64_limit) {
  if (message.size() > base64_limit)
    return fail(Code::too_large, "the message is longer than this token signs",
                "the limit is " + std::to_string(base64_limit) + " bytes of base64");
  return venue::decode_payload_base64(as_text(message));
}

Result<std::optional<Demanded>> judge(const Ceiling& ceiling, const std::string& json) {
  TRY(const venue::Payload payload, venue::Payload::parse_verbatim(json));
  const Class cls = payload.endpoint().cls;
  if (!ceiling.permits(cls))
    return fail(Code::denied, "above the ceiling of this key in the token host",
                "class " + std::string{venue::name(cls)});
  if ((kDangerous & bit(cls)) == 0) return std::optional<Demanded>{};
  if (ceiling.officers) {
    Demanded demanded{*ceiling.officers, cls, {}};
    payload.build_without_nonce(demanded.payload);
    return demanded;
  }
  if (ceiling.environment == Environment::sandbox) return std::optional<Demanded>{};
  // read_ceiling() lets no such through.
  return fail(Code::denied, "a production key whose ceiling names no officers",
              "class " + std::string{venue::name(cls)});
}

}  // namespace hsm::token

#include "hsm_signer/token/vault.h"

#include <charconv>

#include "hsm_signer/base/ids.h"

namespace hsm::token {

Result<KeyLabel> parse_key_label(std::string_view label) {
  const std::size_t mark = label.rfind(".v");
  KeyLabel parsed{label.substr(0, mark), 0};
  if (mark == std::string_view::npos || !is_name(parsed.name))
    return fail(Code::usage, "a key's label is its name, \".v\" and its version");
  const std::string_view digits = label.substr(mark + 2);
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), parsed.version);
  // Re-made and compared: "01", "+1" and "1 " would be second spellings of one label.
  if (error != std::errc{} || end != digits.data() + digits.size() || parsed.version == 0 ||
      key_label(parsed.name, parsed.version) != label)
    return fail(Code::usage, "a key's label ends with its version, from 1, without leading zeros");
  return parsed;
}

Result<void> check_object_name(const ObjectName& object) {
  TRY_VOID(parse_key_label(object.label));
  if (object.cka_id == 0 || object.cka_id >= kReservedIds)
    return fail(Code::usage, "a key's CKA_ID lies between 0x0001 and 0xfeff");
  return {};
}

Bytes cka_id_bytes(std::uint16_t id) {
  return {static_cast<Byte>(id >> 8), static_cast<Byte>(id & 0xff)};
}

}  // namespace hsm::token

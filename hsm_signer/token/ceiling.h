// ceilings.toml: what a key may sign at most, whatever hsm-signerd asks for. The token host decodes
// and judges each message itself, with the same strict parser and venue table.
//
//   version = 1
//   [[key]]
//   label = "desk-a.trade"
//   environment = "production"
//   classes = ["read", "cancel", "trade", "session"]
//   rate = 50
//   officers = { group = "officers", need = 2 }
//
// `label` is a key's name, for all its versions, or the CKA_LABEL "desk-a.trade.v2" of one; "*" in
// development with sandbox keys only. `rate` is signatures a second, with a burst of one second.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/base/terms.h"
#include "hsm_signer/token/mode.h"
#include "hsm_signer/venue/endpoints.h"

namespace hsm::token {

struct Quorum {
  std::string group;
  std::uint32_t need;
};

struct Ceiling {
  Environment environment = Environment::production;
  std::uint32_t classes = 0;  // Bit per venue::Class.
  std::uint32_t rate = 50;
  std::optional<Quorum>
      officers;  // Absent with move, widen or admin: `officers = 0`, sandbox only.

  bool permits(venue::Class cls) const { return (classes >> static_cast<unsigned>(cls) & 1) != 0; }
  // What a key without an entry gets: read, cancel, trade, session at 50 a second.
  static Ceiling without_entry();
};

class Ceilings {
 public:
  // Errors: those of read_operator_file(), and usage with file:line:column.
  static Result<Ceilings> load(const std::string& path, Mode mode);
  static Result<Ceilings> parse(std::string_view text, const std::string& name, Mode mode);

  // `label` is "name.vN"; an entry for just that goes before one for the name, and that before "*".
  const Ceiling& of(std::string_view label) const;
  // Whether any key's ceiling asks for officers.
  bool demand_officers() const;

 private:
  struct Entry {
    std::string label;
    Ceiling ceiling;
  };
  std::vector<Entry> entries_;
  Ceiling without_entry_ = Ceiling::without_entry();
};

// What is left to officers: who has to have stated it, and as which payload.
struct Demanded {
  Quorum quorum;
  venue::Class cls;
  std::string payload;  // As venue::Payload::build_without_nonce() writes it.
};

// The payload in `message`, its base64. invalid_payload: not canonical base64; too_large.
Result<std::string> payload_of(ByteView message, std::size_t base64_limit);
// Whether a payload is within the ceiling, and what it then demands besides. invalid_payload: not a
// strict payload; denied: unknown endpoint, a class that the ceiling lacks.
Result<std::optional<Demanded>> judge(const Ceiling& ceiling, const std::string& json);

}  // namespace hsm::token

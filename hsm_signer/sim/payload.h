// What the exchange reads in a signed payload. Written apart from the signer's own strict parser
// (room venue), so that one misreading cannot hide in both.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/sim/refusal.h"

namespace hsm::sim {

enum class Kind : std::uint8_t { null, boolean, number, text, array, object };

struct Value {
  Kind kind = Kind::null;
  // number: as sent. text: unescaped. boolean: "true" or "false". Else empty.
  std::string text{};
  // array: its elements, of which arrays and objects are kept without content.
  std::vector<Value> items{};

  // A whole number, sent as one or as its digits in a string, as ccxt sends them.
  std::optional<std::uint64_t> whole() const;
};

class Payload {
 public:
  // A JSON object (RFC 8259) and nothing behind it. Refuses repeated top-level names: which of the
  // two the real exchange would take is not known.
  static Outcome<Payload> read(std::string_view json);

  const Value* find(std::string_view name) const;
  // The member where it is a string, else null.
  const std::string* text(std::string_view name) const;
  std::vector<std::string> names() const;  // In the order sent.

 private:
  struct Member {
    std::string name;
    Value value;
  };
  std::vector<Member> members_;
  friend class PayloadHandler;
};

}  // namespace hsm::sim

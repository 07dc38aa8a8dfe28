// The strict payload (docs/protocol.md): a JSON object that every parser reads the same way.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/venue/endpoints.h"
#include "hsm_signer/venue/json.h"

namespace hsm::venue {

// Of base64 text, the default of the signer; a profile may say less.
inline constexpr std::size_t kPayloadBase64Limit = 8 * 1024;

// The text of base64 `b64`: too_large above kPayloadBase64Limit, invalid_payload where it is not
// canonical.
Result<std::string> decode_payload_base64(std::string_view b64);

// A judged payload. Owns its text; move-only and cheap to move. Views and Values live as long as
// the Payload, moved or not. Refused: too_large above what kPayloadBase64Limit can carry; denied
// where `request` has a query or no row; all else invalid_payload. For classes trade, move, widen
// and admin known members must have the type of the row; read, cancel and session judge nothing but
// the path, so clients may spell their members as they like (an order_id in a string). Required
// members are not demanded here: the exchange does that, and a policy that limits one refuses where
// it is absent.
class Payload {
 public:
  // `json`: exact bytes with a nonce, to be signed as they are.
  static Result<Payload> parse_verbatim(std::string_view json);
  // `json`: an object whose nonce, if any, must be well-formed and is dropped (nonce() is empty,
  // member("nonce") is nothing); build() writes what is signed.
  static Result<Payload> parse_request(std::string_view json);

  Payload(Payload&&) noexcept;
  Payload& operator=(Payload&&) noexcept;
  ~Payload();

  std::string_view request() const;
  const Endpoint& endpoint() const;  // A request without a row is refused by the parser (denied).
  std::string_view nonce()
      const;  // Digits, with a fraction where the client sent one; empty if absent.
  // A known or unknown top-level member by its exact name; path parameters are not members.
  std::optional<Value> member(std::string_view name) const;
  // The value of a path parameter of the template, e.g. parameter("currency") for
  // /v1/withdraw/{currency}.
  std::string_view parameter(std::string_view name) const;
  // The name of the first member that the endpoint's row does not know and that is none of
  // `besides`, or empty.
  std::string_view unknown_member(std::span<const std::string> besides = {}) const;
  // The first string of the array `name` that is none of `allowed`; nothing where there is none, or
  // no such member, or it is no array of strings.
  std::optional<std::string_view> text_besides(std::string_view name,
                                               std::span<const std::string> allowed) const;
  // The JSON text of this with one more member at its end. internal: it has that member already, or
  // is verbatim. What comes of it has to be parsed: it may have too many members or be too large.
  Result<std::string> with_text(std::string_view name, std::string_view value) const;
  // The exact bytes given to parse_verbatim(); empty after parse_request().
  std::string_view verbatim() const;

  // Appends to `out` the payload with `nonce` as a JSON number: {"request":…,"nonce":N,<the other
  // members in the order and with the number tokens they came with>}, compact. Parsing the result
  // gives the same judgement.
  void build(std::string_view nonce, std::string& out) const;
  // Appends what officers are shown and sign: {"request":…,<the other members>} as build() writes
  // them, without nonce and with every character that is not printable ASCII as \uXXXX (the short
  // escapes that JSON has for some stay). The same for a request and for what build() made of it.
  void build_without_nonce(std::string& out) const;

 private:
  struct Impl;
  explicit Payload(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace hsm::venue

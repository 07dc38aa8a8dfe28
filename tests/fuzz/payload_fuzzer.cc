// The strict payload under any bytes: what is accepted is read, rewritten and read again as the
// same request.
#include <cstdint>
#include <string>
#include <string_view>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/venue/payload.h"
#include "tests/fuzz/demand.h"

namespace {

using hsm::fuzz::demand;
using hsm::venue::Kind;
using hsm::venue::Payload;

constexpr std::string_view kNonce = "1700000000000";

void same_member(const Payload& a, const Payload& b, std::string_view name) {
  const auto x = a.member(name);
  const auto y = b.member(name);
  demand(x.has_value() == y.has_value(), "a rewritten payload has the same members");
  if (!x) return;
  demand(x->kind == y->kind && x->text == y->text, "a rewritten member reads the same");
}

void same_judgement(const Payload& a, const Payload& b) {
  demand(a.request() == b.request() && &a.endpoint() == &b.endpoint(),
         "rewriting keeps the request");
  demand(a.unknown_member() == b.unknown_member(), "rewriting keeps unknown members");
  for (const auto& member : a.endpoint().members) same_member(a, b, member.name);
  same_member(a, b, "account");
  if (!a.unknown_member().empty()) same_member(a, b, a.unknown_member());
}

std::string shown(const Payload& payload) {
  std::string text;
  payload.build_without_nonce(text);
  return text;
}

// What officers sign of a payload means that payload, and disturbs no terminal.
void is_shown_as_it_is(const Payload& payload) {
  const std::string text = shown(payload);
  for (const char c : text) demand(c >= ' ' && c <= '~', "what is shown is printable ASCII");
  const auto again = Payload::parse_request(text);
  if (!again) return demand(again.error().code == hsm::Code::too_large, "and a request");
  same_judgement(payload, *again);
  demand(shown(*again) == text, "and shown the same again");
}

void rewrites_to_the_same(std::string_view text) {
  const auto request = Payload::parse_request(text);
  if (!request) return;
  demand(request->nonce().empty() && !request->member("nonce"), "a request carries no nonce");
  std::string built;
  request->build(kNonce, built);
  const auto again = Payload::parse_verbatim(built);
  demand(again.has_value(), "what build() writes is accepted");
  demand(again->nonce() == kNonce && again->verbatim() == built, "build() writes the nonce");
  same_judgement(*request, *again);
  demand(shown(*request) == shown(*again), "officers are shown the same before and after build()");
  is_shown_as_it_is(*request);
  std::string twice;
  again->build(kNonce, twice);
  demand(twice == built, "build() of its own output changes nothing");
}

void accepts_the_same_as_a_request(std::string_view text) {
  const auto payload = Payload::parse_verbatim(text);
  if (!payload) {
    demand(!payload.error().what.empty(), "a refusal says why");
    return;
  }
  demand(payload->verbatim() == text && !payload->nonce().empty(), "what is signed is what came");
  const auto request = Payload::parse_request(text);
  if (!request) {
    demand(request.error().code == hsm::Code::too_large, "what is good verbatim is a good request");
    return;
  }
  same_judgement(*payload, *request);
  demand(shown(*payload) == shown(*request), "officers are shown the same of both");
}

void survives_base64(std::string_view text) {
  const auto decoded = hsm::venue::decode_payload_base64(hsm::base64_encode(hsm::as_bytes(text)));
  if (hsm::base64_size(text.size()) > hsm::venue::kPayloadBase64Limit)
    return demand(!decoded && decoded.error().code == hsm::Code::too_large, "the size limit holds");
  demand(decoded.has_value() && *decoded == text, "base64 comes back as it went");
  // The same bytes taken for base64: only the canonical text of what they decode to.
  const auto reverse = hsm::venue::decode_payload_base64(text);
  if (reverse)
    demand(hsm::base64_encode(hsm::as_bytes(*reverse)) == text, "only canonical base64 is taken");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = hsm::fuzz::text_of(data, size);
  accepts_the_same_as_a_request(text);
  rewrites_to_the_same(text);
  survives_base64(text);
  return 0;
}

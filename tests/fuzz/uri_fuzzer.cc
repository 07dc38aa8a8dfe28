// A token's URI under any bytes, next to a second reading of RFC 7512 section 2.3 that shares
// nothing with p11-kit: what is taken names exactly that token, and what the RFC takes is taken.
#include <array>
#include <map>
#include <optional>

#include "hsm_signer/token/uri.h"
#include "tests/fuzz/demand.h"

namespace hsm::token {
namespace {

using fuzz::demand;

constexpr std::string_view kScheme = "pkcs11:";
constexpr std::string_view kHex = "0123456789ABCDEF";
// pk11-pchar without pct-encoded: unreserved, pk11-res-avail and "&".
constexpr std::string_view kPlain =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:[]@!$'()*+,=&";
// Bytes of each in CK_TOKEN_INFO (PKCS#11 v2.40 section 3.2).
const std::map<std::string_view, std::size_t> kRoom{
    {"token", 32}, {"manufacturer", 32}, {"model", 16}, {"serial", 16}};

std::optional<int> hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      if (kPlain.find(text[i]) == std::string_view::npos) return std::nullopt;
      out.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const auto high = hex_value(text[i + 1]);
    const auto low = hex_value(text[i + 2]);
    if (!high || !low || (*high | *low) == 0) return std::nullopt;  // A NUL is in no token's name.
    out.push_back(static_cast<char>(*high << 4 | *low));
    i += 2;
  }
  return out;
}

// Blanks at the end are padding.
std::string without_padding(std::string text) {
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

std::optional<TokenIdentity> read_by_the_rfc(std::string_view text) {
  if (!text.starts_with(kScheme)) return std::nullopt;
  text.remove_prefix(kScheme.size());
  std::map<std::string_view, std::string> values;
  for (bool more = true; more;) {
    const std::size_t end = text.find(';');
    const std::string_view attribute = text.substr(0, end);
    more = end != std::string_view::npos;
    text.remove_prefix(more ? end + 1 : text.size());
    const std::size_t equals = attribute.find('=');
    const auto room = kRoom.find(attribute.substr(0, equals));
    if (equals == std::string_view::npos || room == kRoom.end()) return std::nullopt;
    const auto value = decoded(attribute.substr(equals + 1));
    if (!value || value->size() > room->second) return std::nullopt;
    if (!values.emplace(room->first, without_padding(*value)).second) return std::nullopt;
  }
  TokenIdentity identity{values["token"], values["manufacturer"], values["model"],
                         values["serial"]};
  for (const auto& [name, value] : values) {
    if (!value.empty()) return identity;
  }
  return std::nullopt;
}

std::string spelled_with_percents(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out.append("%").append({kHex[byte >> 4], kHex[byte & 0x0f]});
  }
  return out;
}

constexpr std::array kMembers{&TokenIdentity::token, &TokenIdentity::manufacturer,
                              &TokenIdentity::model, &TokenIdentity::serial};

// It names this token, and none that differs in what it names.
void names_just(const TokenUri& uri, const TokenIdentity& identity) {
  demand(uri.matches(identity), "the token that the URI names is matched");
  for (const auto member : kMembers) {
    TokenIdentity other = identity;
    (other.*member).append("x");
    const bool named = !(identity.*member).empty();
    demand(uri.matches(other) != named, "another value matches just where none was named");
    (other.*member).clear();
    demand(uri.matches(other) != named, "an empty value matches just where none was named");
  }
}

void check(std::string_view text) {
  const auto uri = TokenUri::parse(text);
  const auto identity = read_by_the_rfc(text);
  if (!uri) {
    fuzz::demand_sentence(uri.error());
    demand(uri.error().code == Code::usage, "a refused URI is a mistake in a file");
    demand(!identity, "what RFC 7512 takes, of these four attributes, is taken");
    return;
  }
  demand(identity.has_value(), "what is taken is a URI by RFC 7512");
  demand(uri->text() == text, "the text is kept");
  names_just(*uri, *identity);
  const std::string again = "pkcs11:token=" + spelled_with_percents(identity->token) +
                            ";serial=" + spelled_with_percents(identity->serial) +
                            ";model=" + spelled_with_percents(identity->model) +
                            ";manufacturer=" + spelled_with_percents(identity->manufacturer);
  const auto respelled = TokenUri::parse(again);
  demand(respelled.has_value(), "the same in percent signs is taken");
  names_just(*respelled, *identity);
}

}  // namespace
}  // namespace hsm::token

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hsm::token::check(hsm::fuzz::text_of(data, size));
  return 0;
}

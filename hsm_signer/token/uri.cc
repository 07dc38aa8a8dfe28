#include "hsm_signer/token/uri.h"

#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>

#include <algorithm>
#include <array>
#include <memory>
#include <set>

namespace hsm::token {
namespace {

using Uri = std::unique_ptr<P11KitUri, decltype(&p11_kit_uri_free)>;

constexpr std::array<std::string_view, 4> kAttributes{"token", "manufacturer", "model", "serial"};
constexpr std::string_view kPkcs11Scheme = "pkcs11:";

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_hex_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// RFC 7512 section 2.3: *pk11-pchar. p11-kit drops blanks, which would make another name of
// "my desk", and reads up to a NUL, which would drop what stands behind it.
bool is_attribute_value(std::string_view text) {
  constexpr std::string_view kPunctuation = "-._~:[]@!$'()*+,=&";
  while (!text.empty()) {
    const bool encoded = text.size() >= 3 && text[0] == '%' && is_hex_digit(text[1]) &&
                         is_hex_digit(text[2]) && text.substr(1, 2) != "00";
    if (!encoded && !is_letter_or_digit(text[0]) && kPunctuation.find(text[0]) == text.npos)
      return false;
    text.remove_prefix(encoded ? 3 : 1);
  }
  return true;
}

// p11-kit takes the last of two equal attributes, and PIN and module paths without a word; so the
// text is looked at before it sees it. RFC 7512 section 2.3: path attributes between ';', query
// after '?'.
Result<void> check_attributes(std::string_view path) {
  if (path.find('?') != std::string_view::npos)
    return fail(
        Code::usage, "a token URI may not have a query",
        "pin-source, pin-value and module-path have keys of their own in the file, or none");
  if (path.ends_with(';')) return fail(Code::usage, "the token URI ends with a semicolon");
  std::set<std::string_view> seen;
  while (!path.empty()) {
    const std::string_view attribute = path.substr(0, path.find(';'));
    path.remove_prefix(std::min(path.size(), attribute.size() + 1));
    const std::string_view name = attribute.substr(0, attribute.find('='));
    if (std::find(kAttributes.begin(), kAttributes.end(), name) == kAttributes.end())
      return fail(Code::usage, "a token URI may have token, manufacturer, model and serial only");
    if (!seen.insert(name).second)
      return fail(Code::usage, "an attribute stands twice in the token URI", std::string{name});
    if (!is_attribute_value(attribute.substr(std::min(attribute.size(), name.size() + 1))))
      return fail(Code::usage, "a value in the token URI is not spelled as RFC 7512 asks",
                  std::string{name} + "; a blank is %20, other text %XX in UTF-8, never %00");
  }
  if (seen.empty())
    return fail(Code::usage, "the token URI names no attribute", "write pkcs11:token=LABEL");
  return {};
}

// PKCS#11 pads with blanks, not with NUL (v2.40 section 3.2).
std::string unpadded(const unsigned char* text, std::size_t size) {
  std::string_view view{reinterpret_cast<const char*>(text), size};
  // p11-kit leaves what the URI does not name as NULs.
  const std::size_t last = view.find_last_not_of(std::string_view{" \0", 2});
  return std::string{view.substr(0, last == std::string_view::npos ? 0 : last + 1)};
}

bool fits(const std::string& wanted, const std::string& is) {
  return wanted.empty() || wanted == is;
}

}  // namespace

Result<TokenUri> TokenUri::parse(std::string_view text) {
  if (!text.starts_with(kPkcs11Scheme)) return fail(Code::usage, "a token URI begins with pkcs11:");
  TRY_VOID(check_attributes(text.substr(kPkcs11Scheme.size())));
  const Uri uri{p11_kit_uri_new(), &p11_kit_uri_free};
  TokenUri parsed;
  parsed.text_ = text;
  if (!uri ||
      p11_kit_uri_parse(parsed.text_.c_str(), P11_KIT_URI_FOR_TOKEN, uri.get()) != P11_KIT_URI_OK ||
      p11_kit_uri_any_unrecognized(uri.get()) != 0)
    return fail(Code::usage, "not a PKCS#11 token URI (RFC 7512)");
  const CK_TOKEN_INFO& info = *p11_kit_uri_get_token_info(uri.get());
  parsed.wanted_ = {.token = unpadded(info.label, sizeof info.label),
                    .manufacturer = unpadded(info.manufacturerID, sizeof info.manufacturerID),
                    .model = unpadded(info.model, sizeof info.model),
                    .serial = unpadded(info.serialNumber, sizeof info.serialNumber)};
  const TokenIdentity& w = parsed.wanted_;
  if (w.token.empty() && w.manufacturer.empty() && w.model.empty() && w.serial.empty())
    return fail(Code::usage, "the attributes of the token URI are empty");
  return parsed;
}

bool TokenUri::matches(const TokenIdentity& token) const {
  return fits(wanted_.token, token.token) && fits(wanted_.manufacturer, token.manufacturer) &&
         fits(wanted_.model, token.model) && fits(wanted_.serial, token.serial);
}

}  // namespace hsm::token

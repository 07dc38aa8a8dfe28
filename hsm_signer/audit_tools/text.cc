#include "hsm_signer/audit_tools/text.h"

#include "hsm_signer/audit/json_text.h"

namespace hsm::audit_tools {
namespace {

// Unicode Standard Annex 9, explicit formatting: what stands behind one shows in another order.
bool turns_text(std::uint32_t code) {
  return (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const auto code = audit::next_code_point(text, at);
    if (!code) at = begin + 1;
    if (!code || audit::is_control(*code) || turns_text(*code))
      out.push_back('?');
    else
      out.append(text.substr(begin, at - begin));
  }
  return out;
}

std::string shortened(std::string_view text, std::size_t limit) {
  std::string out = printable(text);
  if (out.size() <= limit) return out;
  std::size_t end = limit;
  while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xc0) == 0x80) --end;
  return out.substr(0, end) + "…";
}

}  // namespace hsm::audit_tools

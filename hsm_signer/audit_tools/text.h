// Texts of others, made fit for terminals.
#pragma once

#include <string>
#include <string_view>

namespace hsm::audit_tools {

// Each control character (U+0000–001F, U+007F–009F), each that turns the direction of text around
// (U+202A–202E, U+2066–2069) and each byte that is not UTF-8 as "?". A record's text may hold them:
// its line has the first escaped, what was parsed has not.
std::string printable(std::string_view text);
// The same, cut to `limit` bytes at a whole character, with "…" behind it.
std::string shortened(std::string_view text, std::size_t limit);

}  // namespace hsm::audit_tools

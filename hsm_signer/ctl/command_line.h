// The command line: words in, one verb called, exit status out.
#pragma once

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace hsm::ctl {

// What main() returns: 0, or exit_status() of the error's code. Errors go to `err` as
// "hsm-signerctl: sentence [code]" and, with --json, to `out` as {"error":{…}}. An argument that
// nobody asked for is never repeated: it might be a secret.
int run(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

// The nearest of `words` to a mistyped one, at most two edits away; empty where none is.
std::string nearest(std::string_view typed, const std::vector<std::string>& words);

}  // namespace hsm::ctl

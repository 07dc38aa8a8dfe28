// A statement and the signatures under it, in one text: what a .statement file holds and what
// travels to hsm-signerd and hsm-tokend. The statement's lines come first, behind them one armored
// SSH signature after the other as ssh-keygen -Y sign has written them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/officers/allowed.h"
#include "hsm_signer/officers/sshsig.h"
#include "hsm_signer/officers/statement.h"

namespace hsm::officers {

inline constexpr std::size_t kMostSignatures = 8;
inline constexpr std::size_t kBundleLimit = 32 * 1024;

struct Bundle {
  std::string text;  // That was signed, as it stood.
  Statement statement;
  std::vector<Signature> signatures;  // Parsed, not yet believed.

  // invalid_payload: no statement, no signature, anything else between or behind; too_large: over
  // the limits above.
  static Result<Bundle> parse(std::string_view bundle);
  std::string to_text() const;
};

// How many of whom have to sign.
struct Need {
  std::string group;
  std::uint32_t officers = 0;
};

// A statement that enough officers signed.
struct Stated {
  Statement statement;
  std::vector<std::string> officers;  // Who count, in the order of their file.
};

// The one way from a bundle to a statement that may be acted on: who acts compares each line with
// what they are about to do, and makes its id used (UsedStatements) before they do it. A signature
// that does not verify or is nobody's counts for nothing and spoils nothing. Errors: those of
// Bundle::parse() and quorum().
Result<Stated> judge(std::string_view bundle, const AllowedOfficers& allowed, const Need& need,
                     Clock::Wall now);

}  // namespace hsm::officers

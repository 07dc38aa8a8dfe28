// Checks a log, or a copy of one, with nothing but its public key. Streams: memory does not grow
// with the log (one counter for each worker, one nonce for each API key id).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/audit/retention.h"
#include "hsm_signer/base/hash.h"
#include "hsm_signer/base/result.h"

namespace hsm::audit {

// note: worth knowing. warning: explained, but somebody should ask why. failure: the log cannot be
// trusted here.
enum class Severity : std::uint8_t { note, warning, failure };
std::string_view name(Severity severity);

struct Finding {
  Severity severity = Severity::failure;
  std::string file;        // Within the directory; the anchor's path as it was given.
  std::uint64_t line = 0;  // From 1; 0 where the whole file is meant.
  std::string sentence;
  bool operator==(const Finding&) const = default;
};

// Findings beyond this are counted, not kept.
inline constexpr std::size_t kFindingsLimit = 1000;

struct Verified {
  std::uint64_t records = 0;  // In all: those that were let go too.
  std::uint64_t let_go = 0;   // Of these; what follows is of the others.
  std::uint64_t uncompared =
      0;  // Checkpoints over fewer than that, of which only the signature says anything.
  std::uint64_t allowed = 0;
  std::uint64_t refused = 0;
  std::uint64_t gaps = 0;         // Counts that gap records give up, not records.
  std::uint64_t checkpoints = 0;  // That verify.
  std::uint64_t sealed = 0;       // Records under the last checkpoint that verifies.
  std::uint64_t unsealed = 0;     // Records after it: nothing proves these yet.
  std::uint64_t anchors = 0;      // Notes of the anchor that verify and that the log holds.
  std::uint64_t anchored = 0;     // Records under the last of those.
  Sha256 root{};                  // Of all records.
  std::uint64_t failures = 0;
  std::uint64_t warnings = 0;
  std::vector<Finding> findings;  // In the order found, the first kFindingsLimit.

  bool ok() const { return failures == 0; }
};

// A log without any checkpoint that verifies: anybody could have written it.
enum class WithoutSeal : bool { fails, passes };
// `anchor`: a file of notes that was kept elsewhere (anchor.h), every one of which the log has to
// hold; empty: none. Code::usage where there is nothing to read or the key is none; what is wrong
// inside the log or the anchor is in the findings.
Result<Verified> verify_directory(const std::string& directory, std::string_view public_key_pem,
                                  WithoutSeal without_seal = WithoutSeal::fails,
                                  const std::string& anchor = {});
// What the records of segments before `cut.kept_from` come to (plan_cut()), once the log verifies
// up to there and to the next checkpoint. As verify_directory(); verification_failed where it does
// not, with the first failure.
Result<Retired> state_after(const std::string& directory, std::string_view public_key_pem,
                            const Cut& cut, std::function<bool()> goes_on = {});
// verification_failed with the first failure and how many there are, for exit status 4.
Result<void> verdict(const Verified& verified);

}  // namespace hsm::audit

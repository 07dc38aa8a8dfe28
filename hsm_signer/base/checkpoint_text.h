// The text of a C2SP tlog-checkpoint (https://c2sp.org/tlog-checkpoint), which the audit log writes
// and the token host signs. It stands in base because both sides need it and neither may see the
// other: the token host signs only what parse_checkpoint_text() takes.
//
//   <origin>\n<decimal size>\n<base64 root>\n[<extension>\n…]
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/base/hash.h"
#include "hsm_signer/base/result.h"

namespace hsm {

inline constexpr std::size_t kCheckpointTextLimit = 1024;
inline constexpr std::size_t kCheckpointExtensionLimit = 8;

struct CheckpointText {
  std::string origin;
  std::uint64_t size = 0;  // Leaves.
  Sha256 root{};
  std::vector<std::string> extensions{};
  bool operator==(const CheckpointText&) const = default;
};

// [A-Za-z0-9._:/-]{1,128}: narrower than C2SP, which asks only for no space and no plus sign.
bool is_checkpoint_origin(std::string_view text);
// `origin` must be one; the result is what parse_checkpoint_text() takes.
std::string checkpoint_text(std::string_view origin, std::uint64_t size, const Sha256& root);
// Strict: exactly this spelling, no more lines, an empty tree with the empty tree's root. Extension
// lines are printable ASCII. invalid_payload otherwise.
Result<CheckpointText> parse_checkpoint_text(std::string_view text);
Result<void> is_checkpoint_text(std::string_view text);

}  // namespace hsm

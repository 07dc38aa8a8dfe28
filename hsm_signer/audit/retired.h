// What is kept of records that were let go (docs/audit.md, "Letting old records go"): all that
// whoever goes on behind them has to know. One canonical line of JSON, in a file beside the
// segments.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/audit/merkle.h"
#include "hsm_signer/base/result.h"

namespace hsm::audit {

inline constexpr std::size_t kRetiredLimit = 64 * 1024 * 1024;  // Bytes of the file.
inline constexpr std::size_t kRetiredWorkers = 256 * 1024;
inline constexpr std::size_t kRetiredNonces = 64 * 1024;

// How far one worker's MACs were told; see WorkerAccounts.
struct RetiredWorker {
  std::uint64_t worker = 0;
  std::uint64_t last = 0;          // Count with a record or a gap, without holes.
  std::uint64_t recorded = 0;      // The last with a record.
  std::uint64_t confirmed = 0;     // By the worker.
  std::uint64_t seq = 0;           // Of its last record; 0: it has none.
  std::optional<Sha256> digest{};  // Of all up to `last`, where that is known.
  bool operator==(const RetiredWorker&) const = default;
};

struct RetiredNonce {
  std::string api_key_id;
  std::string nonce;          // The highest.
  std::uint64_t unspent = 0;  // Signatures since the last answer that burns (service/released.h).
  bool operator==(const RetiredNonce&) const = default;
};

struct Retired {
  std::uint64_t kept_from = 0;           // Number of the first segment that is kept.
  Tree tree;                             // Over all records before that.
  std::vector<RetiredWorker> workers{};  // Each once, ascending.
  std::vector<RetiredNonce> nonces{};    // The same.
  std::uint64_t records() const { return tree.size(); }
  bool operator==(const Retired&) const = default;
};

// The file's text. too_large: more workers or API keys than it may hold; internal: a state that
// breaks its form.
Result<std::string> retired_text(const Retired& retired);
// Takes exactly what retired_text() writes; verification_failed, with the column, for anything
// else.
Result<Retired> parse_retired(std::string_view text);

// "audit-retired-000012.json" where 12 is the last segment that was let go.
std::string retired_name(std::uint64_t last);

// A file of it, and what binds that to the log.
struct RetiredFile {
  std::string name;
  std::string sha256;  // 64 hex digits.
  Retired retired;
};
// verification_failed: it is none, or another than its name says. usage: it cannot be read.
Result<RetiredFile> read_retired(const std::string& directory, const std::string& name);

}  // namespace hsm::audit

// Proofs that a stranger can carry: one record, or the growth of the log, under a signed
// checkpoint.
//
// Of a record: a C2SP tlog-proof (https://c2sp.org/tlog-proof), whose `extra` is the record's line,
// so that the file and the public key are all that a check needs:
//
//   c2sp.org/tlog-proof@v1
//   extra <base64 of the line, without its newline>
//   index <sequence − 1>
//   <base64 of a hash>…
//   (empty line)
//   <signed checkpoint>
//
// Of growth: what C2SP tlog-witness (https://c2sp.org/tlog-witness, add-checkpoint) has a log send
// to who watches it, with the older checkpoint kept by the one who asks:
//
//   old <size>
//   <base64 of a hash>…
//   (empty line)
//   <signed checkpoint>
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "hsm_signer/audit/checkpoint.h"
#include "hsm_signer/audit/merkle_proof.h"
#include "hsm_signer/audit/record.h"
#include "hsm_signer/base/result.h"

namespace hsm::audit {

// Of a proof's text: a record in base64, the path, a note.
inline constexpr std::size_t kProofLimit = 128 * 1024;

struct RecordProof {
  std::string line;  // Without its newline.
  std::uint64_t index = 0;
  ProofPath path;
  std::string note;
  bool operator==(const RecordProof&) const = default;
};
std::string proof_text(const RecordProof& proof);
// Form only; verification_failed.
Result<RecordProof> parse_record_proof(std::string_view text);

struct GrowthProof {
  std::uint64_t old_size = 0;
  ProofPath path;
  std::string note;
  bool operator==(const GrowthProof&) const = default;
};
std::string proof_text(const GrowthProof& proof);
Result<GrowthProof> parse_growth_proof(std::string_view text);
bool is_growth_proof(std::string_view text);

// A key that a proof has to hold under; without one, signatures are not looked at.
using MaybeKey = std::optional<AuditKey>;

// Of record `seq`, under the last checkpoint of the log. Checked before it is given out. usage: no
// such record, or none of this number is under a checkpoint yet. verification_failed: the log
// differs from its checkpoint, or is damaged.
Result<RecordProof> prove_record(const std::string& directory, std::uint64_t seq,
                                 const MaybeKey& key);

struct Proven {
  Record record;
  Checkpoint checkpoint;
};
// verification_failed unless the record is one, under this key, at the place that it says.
Result<Proven> check_record(const RecordProof& proof, const AuditKey& key);
// Of growth from `old_note` on. The same.
Result<Checkpoint> check_growth(const GrowthProof& proof, std::string_view old_note,
                                const AuditKey& key);

struct Growth {
  TreeHead from;
  TreeHead to;
  ProofPath path;
  std::string note;  // Over `to`; empty where the log has no checkpoint over just that.
};
struct GrowthQuestion {
  std::uint64_t from = 0;
  std::optional<Sha256> from_root;  // Of a checkpoint that somebody kept.
  std::optional<std::uint64_t> to;  // Else the last checkpoint's size.
};
// Whether the log's first `to` records begin with its first `from`. verification_failed: it is
// shorter than asked, or its first `from` records have another root than `from_root` or than the
// log's own checkpoint over just those, or it differs from that over `to`.
Result<Growth> prove_growth(const std::string& directory, const GrowthQuestion& question,
                            const MaybeKey& key);

}  // namespace hsm::audit

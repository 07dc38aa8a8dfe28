#include "hsm_signer/audit/proof.h"

#include <charconv>

#include "hsm_signer/audit/notes.h"
#include "hsm_signer/audit/segments.h"

namespace hsm::audit {
namespace {

constexpr std::string_view kRecordHead = "c2sp.org/tlog-proof@v1\n";
constexpr std::string_view kExtra = "extra ";
constexpr std::string_view kIndex = "index ";
constexpr std::string_view kOld = "old ";

tl::unexpected<Error> malformed(std::string_view why) {
  return fail(Code::verification_failed, "not a proof", std::string{why});
}

// The next line of `text`, without its newline; nothing where there is no whole one.
std::optional<std::string_view> take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  if (end == text.npos) return std::nullopt;
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return line;
}

// "index 7": the number, in its one spelling.
Result<std::uint64_t> take_number(std::string_view& text, std::string_view name) {
  const std::optional<std::string_view> line = take_line(text);
  if (!line || !line->starts_with(name)) return malformed("a line is missing where its number is");
  const std::string_view digits = line->substr(name.size());
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc{} || std::to_string(number) != digits)
    return malformed("a number that is none");
  return number;
}

// Hashes up to the empty line; what is left is the note.
Result<ProofPath> take_path(std::string_view& text) {
  ProofPath path;
  for (;;) {
    const std::optional<std::string_view> line = take_line(text);
    if (!line) return malformed("it ends before its checkpoint");
    if (line->empty()) return path;
    if (path.size() == kProofPathLimit) return malformed("more hashes than any tree has levels");
    const Result<Bytes> bytes = base64_decode_canonical(*line);
    if (!bytes || bytes->size() != Sha256{}.size()) return malformed("a hash that is none");
    std::copy(bytes->begin(), bytes->end(), path.emplace_back().begin());
  }
}

std::string path_text(const ProofPath& path) {
  std::string text;
  for (const Sha256& hash : path) text.append(base64_encode(hash)).push_back('\n');
  return text;
}

Result<CheckpointText> open_with(std::string_view note, const MaybeKey& key) {
  if (!key) return read_note_unverified(note);
  TRY(Checkpoint checkpoint, open_note(note, *key));
  return std::move(checkpoint.text);
}

// The tree over what is no longer there; nothing of it can be proven, which is said of `seq`.
Result<Tree> let_go_before(const SegmentReader& reader, std::uint64_t seq, std::string_view what) {
  if (!reader.base()) return Tree{};
  const Tree& tree = reader.base()->retired.tree;
  if (seq >= tree.size()) return tree;
  return fail(Code::usage, what,
              "records 1 to " + std::to_string(tree.size()) +
                  "; lay the archive's segments beside the others in a copy of the log");
}

// Passes the leaf and the text of each of the first `size` lines on, from the first that is there.
template <class Visit>
Result<void> visit_lines(SegmentReader& reader, std::uint64_t size, const Visit& visit) {
  while (reader.seq() < size) {
    TRY(const std::optional<LogLine> line, reader.next());
    if (!line)
      return fail(Code::verification_failed, "the log was cut",
                  "it has " + std::to_string(reader.seq()) + " records, " + std::to_string(size) +
                      " are looked for");
    visit(*line, leaf_hash(line->text));
  }
  return {};
}

}  // namespace

std::string proof_text(const RecordProof& proof) {
  return std::string{kRecordHead} + std::string{kExtra} + base64_encode(as_bytes(proof.line)) +
         "\n" + std::string{kIndex} + std::to_string(proof.index) + "\n" + path_text(proof.path) +
         "\n" + proof.note;
}

Result<RecordProof> parse_record_proof(std::string_view text) {
  if (text.size() > kProofLimit) return malformed("too long");
  if (!text.starts_with(kRecordHead)) return malformed("it does not begin as a tlog-proof");
  text.remove_prefix(kRecordHead.size());
  const std::optional<std::string_view> extra = take_line(text);
  if (!extra || !extra->starts_with(kExtra)) return malformed("it lacks the record (extra)");
  const Result<Bytes> line = base64_decode_canonical(extra->substr(kExtra.size()));
  if (!line) return malformed("a record that is not base64");
  RecordProof proof{.line = std::string{as_text(*line)}, .index = 0, .path = {}, .note = {}};
  TRY(proof.index, take_number(text, kIndex));
  TRY(proof.path, take_path(text));
  proof.note = text;
  return proof;
}

bool is_growth_proof(std::string_view text) { return text.starts_with(kOld); }

std::string proof_text(const GrowthProof& proof) {
  return std::string{kOld} + std::to_string(proof.old_size) + "\n" + path_text(proof.path) + "\n" +
         proof.note;
}

Result<GrowthProof> parse_growth_proof(std::string_view text) {
  if (text.size() > kProofLimit) return malformed("too long");
  GrowthProof proof;
  TRY(proof.old_size, take_number(text, kOld));
  TRY(proof.path, take_path(text));
  proof.note = text;
  return proof;
}

Result<RecordProof> prove_record(const std::string& directory, std::uint64_t seq,
                                 const MaybeKey& key) {
  TRY(std::string note, last_note(directory));
  TRY(const CheckpointText text, open_with(note, key));
  if (seq == 0) return fail(Code::usage, "records are numbered from 1");
  if (seq > text.size)
    return fail(Code::usage, "no checkpoint is over this record yet",
                "the last one is over " + std::to_string(text.size) + " records");
  RecordProof proof{.line = {}, .index = seq - 1, .path = {}, .note = std::move(note)};
  TRY(SegmentReader reader, SegmentReader::open(directory));
  TRY(const Tree before, let_go_before(reader, proof.index, "this record was let go"));
  RangeRoots roots{inclusion_ranges(proof.index, text.size), before};
  TRY_VOID(visit_lines(reader, text.size, [&](const LogLine& line, const Sha256& leaf) {
    roots.append(leaf);
    if (line.seq == seq) proof.line = line.text;
  }));
  proof.path = roots.take();
  const Result<void> holds =
      check_inclusion(leaf_hash(proof.line), proof.index, text.size, proof.path, text.root);
  if (!holds)
    return fail(Code::verification_failed, "the log differs from its last checkpoint",
                "over " + std::to_string(text.size) + " records; see audit verify");
  return proof;
}

Result<Proven> check_record(const RecordProof& proof, const AuditKey& key) {
  TRY(Checkpoint checkpoint, open_note(proof.note, key));
  TRY_VOID(check_inclusion(leaf_hash(proof.line), proof.index, checkpoint.text.size, proof.path,
                           checkpoint.text.root));
  TRY(Record record, parse_line(proof.line));
  if (record.seq != proof.index + 1)
    return fail(Code::verification_failed, "the record says another sequence than its place",
                std::to_string(record.seq) + " at place " + std::to_string(proof.index + 1));
  return Proven{.record = std::move(record), .checkpoint = std::move(checkpoint)};
}

Result<Checkpoint> check_growth(const GrowthProof& proof, std::string_view old_note,
                                const AuditKey& key) {
  TRY(const Checkpoint old, open_note(old_note, key));
  TRY(Checkpoint now, open_note(proof.note, key));
  if (old.text.origin != now.text.origin)
    return fail(Code::verification_failed, "two checkpoints of unlike logs (origin)");
  if (old.text.size != proof.old_size)
    return fail(Code::verification_failed, "a proof of growth from another checkpoint",
                "over " + std::to_string(proof.old_size) + ", not " +
                    std::to_string(old.text.size) + " records");
  TRY_VOID(check_consistency({old.text.size, old.text.root}, {now.text.size, now.text.root},
                             proof.path));
  return now;
}

namespace {

// Where the log has a checkpoint over just this head, they have to agree.
Result<std::string> note_over(const std::string& directory, const TreeHead& head,
                              const MaybeKey& key) {
  TRY(std::string note, note_of_size(directory, head.size));
  if (note.empty()) return note;
  TRY(const CheckpointText text, open_with(note, key));
  if (text.root == head.root) return note;
  return fail(Code::verification_failed, "the log differs from its own checkpoint",
              "over " + std::to_string(head.size) + " records");
}

}  // namespace

Result<Growth> prove_growth(const std::string& directory, const GrowthQuestion& question,
                            const MaybeKey& key) {
  Growth growth{.from = {question.from, {}}, .to = {0, {}}, .path = {}, .note = {}};
  if (question.to) {
    growth.to.size = *question.to;
  } else {
    TRY(const std::string note, last_note(directory));
    TRY(const CheckpointText text, open_with(note, key));
    growth.to.size = text.size;
  }
  if (growth.from.size > growth.to.size)
    return fail(
        Code::verification_failed, "the log is shorter than what is looked for",
        std::to_string(growth.to.size) + " records, not " + std::to_string(growth.from.size));
  TRY(SegmentReader reader, SegmentReader::open(directory));
  TRY(Tree tree,
      let_go_before(reader, growth.from.size, "the records of so small a log were let go"));
  RangeRoots roots{consistency_ranges(growth.from.size, growth.to.size), tree};
  growth.from.root = tree.root();
  TRY_VOID(visit_lines(reader, growth.to.size, [&](const LogLine&, const Sha256& leaf) {
    roots.append(leaf);
    tree.append(leaf);
    if (tree.size() == growth.from.size) growth.from.root = tree.root();
  }));
  growth.to.root = tree.root();
  growth.path = roots.take();
  if (question.from_root && *question.from_root != growth.from.root)
    return fail(Code::verification_failed, "the log no longer begins as the checkpoint says",
                "its first " + std::to_string(growth.from.size) + " records have another root");
  TRY_VOID(note_over(directory, growth.from, key));
  TRY(growth.note, note_over(directory, growth.to, key));
  TRY_VOID(check_consistency(growth.from, growth.to, growth.path));
  return growth;
}

}  // namespace hsm::audit

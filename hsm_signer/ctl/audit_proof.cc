#include <charconv>

#include "hsm_signer/audit/proof.h"
#include "hsm_signer/ctl/verbs.h"

namespace hsm::ctl {
namespace {

// Of a file that somebody kept: one note, or the end of a copy of the log's file of them.
constexpr std::size_t kNotesLimit = 64 * 1024 * 1024;

Result<audit::AuditKey> read_key(const std::string& path) {
  TRY(const Bytes pem, read_file(path, kPemLimit));
  return audit::AuditKey::from_pem(as_text(pem));
}

Result<audit::MaybeKey> read_maybe_key(const std::string& path) {
  if (path.empty()) return audit::MaybeKey{};
  TRY(audit::AuditKey key, read_key(path));
  return audit::MaybeKey{std::move(key)};
}

// The last note of a file, with or without the empty line that follows each in the log.
Result<std::string> read_note(const std::string& path) {
  TRY(const std::string file, read_input(path, kNotesLimit));
  const std::size_t end = file.find_last_not_of('\n');
  if (end == file.npos) return fail(Code::usage, "an empty file, not a checkpoint", path);
  std::string note = file.substr(0, end + 1) + "\n";
  const std::size_t seal = note.rfind("\n\n");
  const std::size_t before =
      seal == note.npos || seal == 0 ? note.npos : note.rfind("\n\n", seal - 1);
  if (before != note.npos) note.erase(0, before + 2);
  return note;
}

Result<std::uint64_t> number(std::string_view text, std::string_view option) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    return fail(Code::usage, "not a number of records", std::string{option});
  return value;
}

bool to_file(const std::string& output) { return !output.empty() && output != "-"; }

Result<void> write_proof(const ProofOptions& options, std::string_view text) {
  if (!to_file(options.output)) return {};
  TRY_VOID(check_output(options.output, options.directory, options.key));
  return write_file_atomic(options.output, as_bytes(text), 0644);
}

std::string hashes_json(const audit::ProofPath& path) {
  std::vector<std::string> items;
  for (const Sha256& hash : path) items.push_back('"' + hex_encode(hash) + '"');
  return json_array(items);
}

std::string records(std::uint64_t count) {
  return std::to_string(count) + (count == 1 ? " record" : " records");
}

Result<void> show_record(Context& context, std::string_view text, const audit::AuditKey& key) {
  TRY(const audit::RecordProof proof, audit::parse_record_proof(text));
  TRY(const audit::Proven proven, audit::check_record(proof, key));
  const CheckpointText& sealed = proven.checkpoint.text;
  Json json;
  json.boolean("ok", true)
      .number("seq", proven.record.seq)
      .text("origin", sealed.origin)
      .number("size", sealed.size)
      .text("root", hex_encode(sealed.root))
      .raw("record", proof.line);
  context.answer(json, proof.line + "\nholds: record " + std::to_string(proven.record.seq) +
                           " of " + records(sealed.size) + " of " + sealed.origin + "\n");
  return {};
}

Result<void> show_growth(Context& context, std::string_view text, const ProofOptions& options,
                         const audit::AuditKey& key) {
  if (options.checkpoint.empty())
    return fail(Code::usage, "a proof of growth is checked against the checkpoint that was kept",
                "--checkpoint FILE");
  TRY(const std::string kept, read_note(options.checkpoint));
  TRY(const audit::GrowthProof proof, audit::parse_growth_proof(text));
  TRY(const audit::Checkpoint now, audit::check_growth(proof, kept, key));
  Json json;
  json.boolean("ok", true)
      .number("from", proof.old_size)
      .text("origin", now.text.origin)
      .number("to", now.text.size)
      .text("root", hex_encode(now.text.root));
  context.answer(json, "holds: the first " + records(proof.old_size) + " of " +
                           records(now.text.size) + " of " + now.text.origin +
                           " are as they were\n");
  return {};
}

Result<audit::GrowthQuestion> question_of(const ProofOptions& options, const audit::MaybeKey& key) {
  if (options.checkpoint.empty() == options.from.empty())
    return fail(Code::usage, "say what the log has to contain", "either --checkpoint or --from");
  audit::GrowthQuestion question;
  if (!options.to.empty()) {
    TRY(question.to, number(options.to, "--to"));
  }
  if (options.checkpoint.empty()) {
    TRY(question.from, number(options.from, "--from"));
    return question;
  }
  TRY(const std::string note, read_note(options.checkpoint));
  TRY(const CheckpointText kept, audit::read_note_unverified(note));
  if (key) TRY_VOID(audit::open_note(note, *key));
  question.from = kept.size;
  question.from_root = kept.root;
  return question;
}

}  // namespace

Result<void> audit_prove(Context& context, const ProofOptions& options) {
  TRY(const audit::MaybeKey key, read_maybe_key(options.key));
  TRY(const audit::RecordProof proof, audit::prove_record(options.directory, options.seq, key));
  const std::string text = proof_text(proof);
  TRY_VOID(write_proof(options, text));
  Json json;
  json.number("seq", options.seq)
      .raw("path", hashes_json(proof.path))
      .text("proof", text)
      .text("output", options.output);
  const std::string said =
      "record " + std::to_string(options.seq) + " is proven by " + options.output + "\n";
  context.answer(json, to_file(options.output) ? said : text);
  return {};
}

Result<void> audit_check_proof(Context& context, const ProofOptions& options) {
  TRY(const audit::AuditKey key, read_key(options.key));
  TRY(const std::string text, read_input(options.file, audit::kProofLimit));
  if (audit::is_growth_proof(text)) return show_growth(context, text, options, key);
  return show_record(context, text, key);
}

Result<void> audit_consistency(Context& context, const ProofOptions& options) {
  TRY(const audit::MaybeKey key, read_maybe_key(options.key));
  TRY(const audit::GrowthQuestion question, question_of(options, key));
  TRY(const audit::Growth growth, audit::prove_growth(options.directory, question, key));
  const audit::GrowthProof proof{
      .old_size = growth.from.size, .path = growth.path, .note = growth.note};
  if (to_file(options.output)) {
    if (growth.note.empty())
      return fail(Code::usage, "the log has no checkpoint over just so many records",
                  std::to_string(growth.to.size) + "; leave out --to for the last one");
    TRY_VOID(write_proof(options, proof_text(proof)));
  }
  Json json;
  json.boolean("ok", true)
      .number("from", growth.from.size)
      .text("from_root", hex_encode(growth.from.root))
      .number("to", growth.to.size)
      .text("to_root", hex_encode(growth.to.root))
      .raw("path", hashes_json(growth.path))
      .boolean("signatures_verified", key.has_value());
  context.answer(json, "the log still contains the first " + records(growth.from.size) +
                           (question.from_root ? " as the checkpoint has them" : "") + ", among " +
                           records(growth.to.size) + "\nroot over the first " +
                           std::to_string(growth.from.size) + ": " + hex_encode(growth.from.root) +
                           "\nroot over all " + std::to_string(growth.to.size) + ": " +
                           hex_encode(growth.to.root) + "\n" +
                           (key ? "" : "no signature was looked at: give --key for that\n"));
  return {};
}

}  // namespace hsm::ctl

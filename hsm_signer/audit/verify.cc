#include "hsm_signer/audit/verify.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "hsm_signer/audit/checkpoint.h"
#include "hsm_signer/audit/log.h"
#include "hsm_signer/audit/merkle.h"
#include "hsm_signer/audit/nonce_accounts.h"
#include "hsm_signer/audit/record.h"
#include "hsm_signer/audit/records_ahead.h"
#include "hsm_signer/audit/seals.h"
#include "hsm_signer/audit/segments.h"
#include "hsm_signer/audit/worker_accounts.h"

namespace hsm::audit {
namespace {

constexpr std::uint64_t kLookEvery = 1024;  // Records, between two looks whether to go on.

class Verifier {
 public:
  Verifier(SegmentReader lines, const NotesFile& checkpoints,
           const std::optional<NotesFile>& anchor, const AuditKey& key, WithoutSeal without_seal,
           Helpers helpers = Helpers::of_each_core)
      : lines_{std::move(lines), helpers},
        checkpoints_{checkpoints, key, says_in(kCheckpointsName)},
        without_seal_{without_seal},
        workers_{key, [this](Severity severity, std::string sentence) {
                   in_log(severity, std::move(sentence));
                 }} {
    if (!anchor) return;
    anchor_name_ = anchor->path;
    anchor_.emplace(*anchor, key, says_in(anchor->path));
  }

  Result<Verified> run() {
    TRY_VOID(begin());
    TRY_VOID(read_lines());
    TRY_VOID(finish_seals());
    judge_anchor();
    judge_beginning();
    out_.records = tree_.size();
    out_.root = tree_.root();
    out_.unsealed = out_.records - out_.sealed;
    say_what_is_unsealed();
    say_what_is_unconfirmed();
    return std::move(out_);
  }

  Result<Retired> run_to(const Cut& cut, const std::function<bool()>& goes_on) {
    cut_ = &cut;
    TRY_VOID(begin());
    while (!state_ || out_.sealed < cut.records) {
      if (tree_.size() % kLookEvery == 0 && goes_on && !goes_on())
        return fail(Code::overloaded, "the signer is stopping");
      TRY(const bool more, read_line());
      if (!more) break;
    }
    TRY_VOID(verdict(out_));
    if (state_ && out_.sealed >= cut.records) return *std::move(state_);
    return fail(Code::verification_failed, "no checkpoint is over the records that are to go",
                std::to_string(out_.sealed) + " of " + std::to_string(cut.records));
  }

 private:
  // Goes on from the state that is kept of what was let go. It needs no trust: the next checkpoint
  // is over its tree, and a record under a checkpoint has the hash of all of it.
  Result<void> begin() {
    if (const auto& base = lines_.base()) {
      tree_ = base->retired.tree;
      workers_.resume(base->retired.workers);
      nonces_.resume(base->retired.nonces);
      retentions_.want(base->sha256);
      out_.let_go = tree_.size();
    }
    TRY_VOID(checkpoints_.advance());
    if (anchor_) TRY_VOID(anchor_->advance());
    for (; is_over_less(checkpoints_); ++out_.uncompared) TRY_VOID(checkpoints_.advance());
    while (anchor_ && is_over_less(*anchor_)) TRY_VOID(anchor_->advance());
    return compare_seals();
  }
  bool is_over_less(const Seals& seals) const {
    return seals.current() && seals.current()->size < tree_.size();
  }

  Result<void> read_lines() {
    for (bool more = true; more;) {
      TRY(more, read_line());
    }
    if (damaged_ || lines_.rest() == 0) return {};
    add(Severity::warning, lines_.file(), lines_.line() + 1,
        "an unfinished line of " + std::to_string(lines_.rest()) +
            " bytes: a write was cut; the next start removes and records it");
    return {};
  }

  // False at the end, and where nothing more can be read.
  Result<bool> read_line() {
    const auto line = lines_.next();
    if (!line && line.error().code != Code::verification_failed) return fail(line.error());
    if (!line) {
      in_log(Severity::failure, line.error().sentence() + "; the rest was not read");
      damaged_ = true;
      return false;
    }
    if (!*line) return false;
    judge(**line);
    if (cut_ && tree_.size() == cut_->records)
      state_ = Retired{.kept_from = cut_->kept_from,
                       .tree = tree_,
                       .workers = workers_.state(),
                       .nonces = nonces_.state()};
    TRY_VOID(compare_seals());
    return true;
  }

  void judge(const RecordsAhead::Read& read) {
    tree_.append(read.leaf);
    if (!read.parsed) return in_log(Severity::failure, read.parsed.error().sentence());
    if (read.record.seq != tree_.size()) {
      in_log(Severity::failure, "sequence " + std::to_string(read.record.seq) + " where " +
                                    std::to_string(tree_.size()) + " belongs");
    }
    judge(read.record);
  }

  void judge(const Record& record) {
    switch (record.kind) {
      case Kind::sign:
        record.verdict == Verdict::allow ? judge_allow(record) : void(++out_.refused);
        return;
      case Kind::gap:
        judge_gap(record);
        return;
      case Kind::start:
        if (record.cut_bytes != 0)
          in_log(Severity::warning, "this start cut off a torn line of " +
                                        std::to_string(record.cut_bytes) + " bytes");
        return;
      case Kind::usage:
        return workers_.usage(record);
      case Kind::refusals:
        out_.refused += record.count;
        return;
      case Kind::key:
      case Kind::stop:
      case Kind::token:
        return;
      case Kind::admin:
        return retentions_.see(record);
    }
  }

  void judge_allow(const Record& record) {
    ++out_.allowed;
    workers_.allow(record);
    if (auto wrong = nonces_.allow(record)) in_log(Severity::failure, *std::move(wrong));
  }

  void judge_gap(const Record& record) {
    out_.gaps += record.to - record.from + 1;
    workers_.gap(record);
  }

  // Every note over just what has been read.
  Result<void> compare_seals() {
    while (checkpoints_.is_over(tree_.size())) {
      compare_checkpoint();
      if (state_) return {};  // The next note may just be being written.
      TRY_VOID(checkpoints_.advance());
    }
    while (anchor_ && anchor_->is_over(tree_.size())) {
      compare_anchor();
      TRY_VOID(anchor_->advance());
    }
    return {};
  }

  void compare_checkpoint() {
    if (checkpoints_.current()->root != tree_.root())
      return in_notes("the log differs from this checkpoint over its first " +
                      std::to_string(tree_.size()) + " records");
    ++out_.checkpoints;
    if (tree_.size() > out_.sealed) sealed_before_ = out_.sealed;
    out_.sealed = tree_.size();
    sealed_file_ = lines_.file();
    sealed_line_ = lines_.line();
  }

  void compare_anchor() {
    if (anchor_->current()->root != tree_.root())
      return in_anchor(anchor_->line(), "the log was rewritten since it was anchored at " +
                                            std::to_string(tree_.size()) + " records");
    ++out_.anchors;
    out_.anchored = tree_.size();
    anchored_line_ = anchor_->line();
  }

  // What is over more than there is.
  Result<void> finish_seals() {
    while (checkpoints_.current()) {
      in_notes("the log was cut: it has " + std::to_string(tree_.size()) +
               " records, this checkpoint is over " + std::to_string(checkpoints_.current()->size));
      TRY_VOID(checkpoints_.advance());
    }
    while (anchor_ && anchor_->current()) {
      in_anchor(anchor_->line(), "the log was cut since it was anchored at " +
                                     std::to_string(anchor_->current()->size) + ": it has " +
                                     std::to_string(tree_.size()) + " records");
      TRY_VOID(anchor_->advance());
    }
    return {};
  }

  void judge_anchor() {
    if (!anchor_) return;
    if (anchor_->count() == 0) in_anchor(0, "no note here verifies: an anchor that proves nothing");
    if (anchor_->count() != 0 && out_.let_go != 0 && out_.anchors == 0)
      in_anchor(0,
                "every note here that verifies is over records that were let go: nothing was "
                "compared; bring those back from the archive");
    // A checkpoint is on the log's disk before it is anchored.
    if (out_.anchored > out_.sealed)
      in_anchor(anchored_line_, "the log's checkpoints were cut since it was anchored at " +
                                    std::to_string(out_.anchored) + " records: they end at " +
                                    std::to_string(out_.sealed));
  }

  void judge_beginning() {
    const LogFiles& files = lines_.files();
    if (lines_.base()) judge_base(*lines_.base());
    if (!files.leftovers.empty())
      add(Severity::warning, files.leftovers.front(), 0,
          "what was let go is still there in part (" + std::to_string(files.leftovers.size()) +
              " files) and was not read: a removal that did not come to its end; the next start "
              "ends it");
    if (!files.pending.empty())
      add(Severity::note, files.pending.front(), 0,
          "what it stands for is still there, so it was not used: brought back from an archive, or "
          "letting it go did not come to its end; the next start ends it or takes it back");
  }

  void judge_base(const RetiredFile& base) {
    const auto record = retentions_.found(base.sha256);
    const std::string gone = "records 1 to " + std::to_string(base.retired.records());
    const std::string unexplained =
        "segments are missing and no officers' retention explains it: " + gone + " are not there, ";
    if (!record)
      return add(Severity::failure, base.name, 0,
                 unexplained + "and no record has this file's hash");
    if (record->seq > out_.sealed)
      return add(Severity::failure, base.name, 0,
                 unexplained + "and the record that says so (" + std::to_string(record->seq) +
                     ") is under no checkpoint");
    add(Severity::note, base.name, 0,
        gone + " were let go on " + rfc3339(record->time) + " by " + record->by +
            " (retention record " + std::to_string(record->seq) + "); of " +
            std::to_string(out_.uncompared) +
            " checkpoints over fewer records only the signatures could be verified");
  }

  void say_what_is_unsealed() {
    if (out_.unsealed == 0 && out_.checkpoints + out_.let_go != 0) return;
    const bool never = out_.sealed == 0;
    const Severity worst =
        without_seal_ == WithoutSeal::fails ? Severity::failure : Severity::warning;
    add(never ? worst : Severity::note, sealed_file_, sealed_line_ + 1,
        std::to_string(out_.unsealed) + " records from here on are under no checkpoint" +
            (never ? ": nothing proves this log" : " yet"));
  }

  // Workers are asked ahead of each checkpoint, so what was signed meanwhile is confirmed ahead of
  // the next.
  void say_what_is_unconfirmed() {
    const auto [macs, workers] = workers_.unconfirmed(sealed_before_);
    if (macs == 0) return;
    add(Severity::warning, sealed_file_, sealed_line_,
        std::to_string(macs) + " signatures of " + std::to_string(workers) +
            " workers are confirmed by no usage record: those workers were killed, or somebody "
            "left the usage records out");
  }

  void in_log(Severity severity, std::string sentence) {
    add(severity, lines_.file(), std::max<std::uint64_t>(lines_.line(), 1), std::move(sentence));
  }
  void in_notes(std::string sentence) {
    add(Severity::failure, kCheckpointsName, checkpoints_.line(), std::move(sentence));
  }
  void in_anchor(std::uint64_t line, std::string sentence) {
    add(Severity::failure, anchor_name_, line, std::move(sentence));
  }
  Seals::Say says_in(std::string_view file) {
    return [this, file = std::string{file}](std::uint64_t line, std::string sentence) {
      add(Severity::failure, file, line, std::move(sentence));
    };
  }
  void add(Severity severity, std::string_view file, std::uint64_t line, std::string sentence) {
    out_.failures += severity == Severity::failure ? 1 : 0;
    out_.warnings += severity == Severity::warning ? 1 : 0;
    if (out_.findings.size() == kFindingsLimit) return;
    out_.findings.push_back({.severity = severity,
                             .file = std::string{file},
                             .line = line,
                             .sentence = std::move(sentence)});
  }

  RecordsAhead lines_;
  std::string sealed_file_{lines_.file()};  // Where the last checkpoint that verifies ends.
  std::uint64_t sealed_line_ = 0;
  std::uint64_t sealed_before_ = 0;  // By the checkpoint before that.
  Seals checkpoints_;
  std::string anchor_name_;
  std::optional<Seals> anchor_;
  std::uint64_t anchored_line_ = 0;  // Of the last note that the log holds.
  const WithoutSeal without_seal_;
  Tree tree_;
  Verified out_;
  WorkerAccounts workers_;
  NonceAccounts nonces_;
  RetentionRecords retentions_;
  bool damaged_ = false;  // The rest could not be read.
  const Cut* cut_ = nullptr;
  std::optional<Retired> state_;  // At the cut.
};

// Without notes there is still something to check, and something to say.
Result<NotesFile> open_checkpoints(const std::string& directory) {
  const std::string notes = directory + "/" + std::string{kCheckpointsName};
  const bool absent = ::access(notes.c_str(), F_OK) != 0 && errno == ENOENT;
  if (!absent) return notes_of(notes, open_regular_file(notes));
  OwnedFd nothing{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  if (!nothing.valid()) return fail(os_error(Code::usage, "cannot open", "/dev/null"));
  return notes_of(notes, std::move(nothing));
}

}  // namespace

std::string_view name(Severity severity) {
  switch (severity) {
    case Severity::note:
      return "note";
    case Severity::warning:
      return "warning";
    case Severity::failure:
      break;
  }
  return "failure";
}

Result<Verified> verify_directory(const std::string& directory, std::string_view public_key_pem,
                                  WithoutSeal without_seal, const std::string& anchor) {
  TRY(const AuditKey key, AuditKey::from_pem(public_key_pem));
  std::optional<NotesFile> elsewhere;
  if (!anchor.empty()) {
    TRY(elsewhere, notes_of(anchor, open_regular_file(anchor)));
  }
  TRY(const NotesFile checkpoints, open_checkpoints(directory));
  TRY(SegmentReader lines, SegmentReader::open(directory));
  return Verifier{std::move(lines), checkpoints, elsewhere, key, without_seal}.run();
}

Result<Retired> state_after(const std::string& directory, std::string_view public_key_pem,
                            const Cut& cut, std::function<bool()> goes_on) {
  TRY(const AuditKey key, AuditKey::from_pem(public_key_pem));
  TRY(const NotesFile checkpoints, open_checkpoints(directory));
  TRY(SegmentReader lines, SegmentReader::open(directory));
  // Beside a signer that signs.
  return Verifier{std::move(lines), checkpoints, {}, key, WithoutSeal::fails, Helpers::none}.run_to(
      cut, goes_on);
}

Result<void> verdict(const Verified& verified) {
  if (verified.ok()) return {};
  const auto first =
      std::find_if(verified.findings.begin(), verified.findings.end(),
                   [](const Finding& finding) { return finding.severity == Severity::failure; });
  std::string detail = std::to_string(verified.failures) + " failures";
  if (first != verified.findings.end())
    detail += ", the first at " + first->file +
              (first->line == 0 ? "" : ":" + std::to_string(first->line)) + ": " + first->sentence;
  return fail(Code::verification_failed, "the audit log does not verify", std::move(detail));
}

}  // namespace hsm::audit

#include "hsm_signer/audit/log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "hsm_signer/audit/checkpoint.h"
#include "hsm_signer/audit/held_heads.h"
#include "hsm_signer/audit/lines.h"
#include "hsm_signer/audit/segments.h"

namespace hsm::audit {
namespace {

// A segment that could not be followed by another is gone on with for so long.
constexpr std::uint64_t kPause = 1 << 20;

auto damaged(std::string_view what, std::string detail) {
  return fail(Code::audit_unavailable, what, std::move(detail) + std::string{kRepair});
}

Error unavailable(std::string_view what, const std::string& subject) {
  return os_error(Code::audit_unavailable, what, subject);
}

Result<void> fsync_directory(const std::string& path) {
  const OwnedFd fd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!fd.valid() || ::fsync(fd.get()) != 0)
    return fail(unavailable("cannot make a directory durable", path));
  return {};
}

}  // namespace

Log::Log(std::string directory, Disk& disk, Rotation rotation)
    : directory_{std::move(directory)}, disk_{disk}, rotation_{rotation} {}
Log::~Log() = default;

Result<std::unique_ptr<Log>> Log::open(const std::string& directory, const Visit& visit, Disk& disk,
                                       Rotation rotation, const std::vector<Anchored>& anchored,
                                       const VisitRetired& visit_retired) {
  std::unique_ptr<Log> log{new Log{directory, disk, rotation}};
  TRY_VOID(log->take_directory());
  TRY_VOID(log->open_files());
  TRY_VOID(log->read_back(visit, anchored, visit_retired));
  TRY_VOID(log->sync());
  return log;
}

Result<void> Log::make_directory(const std::string& directory) {
  if (::mkdir(directory.c_str(), 0700) == 0) return fsync_directory(directory + "/..");
  if (errno == EEXIST) return {};
  return fail(unavailable("cannot make the audit directory", directory));
}

Result<void> Log::take_directory() {
  TRY_VOID(make_directory(directory_));
  directory_fd_ = OwnedFd{::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  struct stat status {};
  if (!directory_fd_.valid() || ::fstat(directory_fd_.get(), &status) != 0)
    return fail(unavailable("cannot open the audit directory", directory_));
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return fail(Code::audit_unavailable, "the audit directory may be written by others",
                directory_ + "; chmod 0700");
  if (::flock(directory_fd_.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(Code::audit_unavailable, "another process writes this audit log", directory_);
  return {};
}

Result<void> Log::open_files() {
  const Result<LogFiles> files = list_log(directory_);
  if (!files && files.error().code == Code::verification_failed)
    return damaged("the audit log is damaged", files.error().sentence());
  if (files) segment_number_ = files->first + files->segments.size() - 1;
  segment_name_ = segment_name(segment_number_);
  TRY(segment_, AppendFile::open(disk_, path(segment_name_)));
  TRY(checkpoints_, AppendFile::open(disk_, path(kCheckpointsName)));
  if (disk_.fsync(directory_fd_.get()) != 0)
    return fail(unavailable("cannot make a directory durable", directory_));
  return {};
}

// Checks everything before it changes anything: what looks damaged stays as it was found.
Result<void> Log::read_back(const Visit& visit, const std::vector<Anchored>& anchored,
                            const VisitRetired& visit_retired) {
  TRY_VOID(read_checkpoints());
  HeldHeads heads{directory_, sealed_, anchored};
  Result<SegmentReader> lines = SegmentReader::open(directory_);
  if (!lines) return damaged("the audit log is damaged", lines.error().sentence());
  RetentionRecords retentions;
  TRY_VOID(take_base(*lines, retentions, visit_retired));
  TRY_VOID(read_segments(*lines, heads, retentions, visit));
  TRY_VOID(find_unfinished(*lines, retentions));
  recovered_.records = tree_.size();
  TRY_VOID(segment_.cut());
  TRY_VOID(checkpoints_.cut());
  refill();
  ahead_ = tree_;
  written_.store(tree_.size(), std::memory_order_release);
  notes_dirty_ = true;  // The first sync() makes durable what another process left in the kernel.
  return {};
}

Result<void> Log::take_base(const SegmentReader& lines, RetentionRecords& retentions,
                            const VisitRetired& visit_retired) {
  for (const std::string& name : lines.files().pending) {
    Result<RetiredFile> file = read_retired(directory_, name);
    if (!file) return damaged("the audit log is damaged", file.error().sentence());
    retentions.want(file->sha256);
    pending_.push_back(*std::move(file));
  }
  if (!lines.base()) return {};
  retentions.want(lines.base()->sha256);
  tree_ = lines.base()->retired.tree;
  if (visit_retired) visit_retired(lines.base()->retired);
  return {};
}

Result<void> Log::find_unfinished(const SegmentReader& lines, const RetentionRecords& retentions) {
  if (lines.base()) {
    const auto found = retentions.found(lines.base()->sha256);
    if (!found || found->seq > sealed_.size)
      return damaged("segments of the audit log are missing and no officers' retention explains it",
                     path(lines.base()->name) +
                         (found ? ": its record is under no checkpoint" : ": no record of it"));
    if (!lines.files().leftovers.empty()) unfinished_.kept_from = lines.files().first;
  }
  for (const RetiredFile& file : std::exchange(pending_, {})) {
    const auto found = retentions.found(file.sha256);
    if (!found) {
      unfinished_.undo.push_back(file.name);
    } else if (file.retired.kept_from <= segment_number_) {
      unfinished_.kept_from = file.retired.kept_from;
      unfinished_.sealed = found->seq;
    }
  }
  return {};
}

Result<void> Log::read_segments(SegmentReader& lines, HeldHeads& heads,
                                RetentionRecords& retentions, const Visit& visit) {
  heads.see(tree_);
  std::uint64_t whole = 0;  // Bytes of the last segment.
  for (;;) {
    const auto line = lines.next();
    if (!line) return damaged("the audit log is damaged", line.error().sentence());
    if (!*line) break;
    const std::string where = path((*line)->file) + ":" + std::to_string((*line)->line);
    const Result<Record> record = parse_line((*line)->text);
    if (!record)
      return damaged("the audit log is damaged", where + ": " + record.error().sentence());
    if (record->seq != tree_.size() + 1)
      return damaged("the audit log is damaged", where + ": sequence " +
                                                     std::to_string(record->seq) + " where " +
                                                     std::to_string(tree_.size() + 1) + " belongs");
    tree_.append(leaf_hash((*line)->text));
    heads.see(tree_);
    if ((*line)->file == segment_name_) {
      whole = (*line)->offset;
      if (!segment_day_) segment_day_ = std::chrono::floor<std::chrono::days>(record->time);
    }
    retentions.see(*record);
    if (visit) visit(*record);
  }
  recovered_.cut_bytes = lines.rest();
  segment_.found(whole, lines.rest() != 0);
  return heads.verdict(tree_);
}

Result<void> Log::read_checkpoints() {
  NoteReader notes{checkpoints_.fd()};
  for (;;) {
    const auto note = notes.next();
    if (!note) return damaged("the audit checkpoints are damaged", note.error().sentence());
    if (!*note) break;
    const Result<CheckpointText> text = read_note_unverified(**note);
    if (!text)
      return damaged("the audit checkpoints are damaged", path(kCheckpointsName) + ":" +
                                                              std::to_string(notes.line()) + ": " +
                                                              text.error().sentence());
    if (sealed_.size < text->size) recovered_.sealed_before = sealed_.size;
    sealed_ = {.size = text->size, .root = text->root};
    ++recovered_.checkpoints;
  }
  checkpoints_.found(notes.offset(), notes.torn());
  recovered_.sealed = sealed_.size;
  return {};
}

Result<std::uint64_t> Log::append(Record record) {
  if (const auto error = failure()) return fail(*error);
  TRY_VOID(append_gaps(record.time));
  const bool mac = record.kind == Kind::sign && record.verdict == Verdict::allow;
  const Lost count{record.worker, record.worker_counter, record.worker_counter};
  if (auto buffered = buffer(std::move(record)); !buffered) {
    if (mac && count.from != 0) lost_.push_back(count);
    return fail(std::move(buffered).error());
  }
  if (mac) macs_.push_back(count);
  return ahead_.size();
}

Result<void> Log::append_gaps(Clock::Wall time) {
  while (!lost_.empty()) {
    const Lost gap = lost_.front();
    Record record = Record::gap(gap.worker, gap.from, gap.to, "the audit log could not be written");
    record.time = time;
    TRY_VOID(buffer(std::move(record)));
    macs_.push_back(gap);
    lost_.erase(lost_.begin());
  }
  return {};
}

Result<void> Log::buffer(Record record) {
  record.seq = ahead_.size() + 1;
  const std::size_t before = buffer_.size();
  if (before == 0) buffer_day_ = std::chrono::floor<std::chrono::days>(record.time);
  TRY_VOID(append_line(record, buffer_));
  const std::string_view line = std::string_view{buffer_}.substr(before);
  ahead_.append(leaf_hash(line.substr(0, line.size() - 1)));
  return {};
}

Result<void> Log::flush() {
  if (buffer_.empty()) return {};
  auto written = [&]() -> Result<void> {
    if (const auto error = failure()) return fail(*error);
    TRY_VOID(begin_segment_where_due());
    keep_reserve(segment_, buffer_.size(), rotation_.reserve);
    TRY_VOID(segment_.append(buffer_));
    if (!segment_day_) segment_day_ = buffer_day_;
    return {};
  }();
  if (!written) {
    drop_buffer();
    return written;
  }
  buffer_.clear();
  macs_.clear();
  tree_ = ahead_;
  written_.store(tree_.size(), std::memory_order_release);
  return {};
}

Result<void> Log::begin_segment_where_due() {
  const std::uint64_t size = segment_.size();
  const bool due = size >= rotation_.bytes || buffer_day_ > segment_day_;
  if (size == 0 || size < next_try_ || segment_.torn() || low_errno_ != 0 || !due) return {};
  return begin_segment();
}

// In this order: a power cut may keep the new name and lose what was not synced.
Result<void> Log::begin_segment() {
  if (disk_.fdatasync(segment_.fd()) != 0) return fail_for_good();
  const std::string name = segment_name(segment_number_ + 1);
  auto next = AppendFile::open(disk_, path(name), O_EXCL);
  next_try_ = segment_.size() + kPause;
  if (!next) return {};  // No descriptor, no space: this one goes on, and says why if it cannot.
  // This one still has its reserve.
  if (rotation_.reserve != 0 && !cannot_reserve_ &&
      next->keep_ahead(buffer_.size(), rotation_.reserve) != 0)
    return undo_segment(name);
  if (disk_.fsync(directory_fd_.get()) != 0) return fail_for_good();
  segment_.give_back();
  (void)disk_.fchmod(segment_.fd(), 0400);  // Nobody writes there any more.
  {
    const std::lock_guard lock{segment_mutex_};
    segment_ = *std::move(next);
  }
  segment_name_ = name;
  ++segment_number_;
  next_try_ = 0;
  segment_day_.reset();
  return {};
}

// Behind a name that stays, this segment would be one that no start may cut.
Result<void> Log::undo_segment(const std::string& name) {
  if (disk_.unlink(path(name).c_str()) != 0 || disk_.fsync(directory_fd_.get()) != 0)
    return fail_for_good();
  return {};
}

void Log::keep_reserve(AppendFile& file, std::size_t next, std::uint64_t ahead) {
  if (rotation_.reserve == 0 || cannot_reserve_ || low_errno_ != 0) return;
  const int why = file.keep_ahead(next, ahead);
  cannot_reserve_ = why == EOPNOTSUPP || why == ENOSYS;
  if (!cannot_reserve_) low_errno_ = why;
}

void Log::refill() {
  low_errno_ = 0;
  keep_reserve(segment_, 0, rotation_.reserve);
  keep_reserve(checkpoints_, 0, rotation_.reserve / kNotesShare);
}

std::optional<Error> Log::low() const {
  if (low_errno_ == 0) return std::nullopt;
  return os_error(Code::audit_unavailable,
                  "the audit log has no more disk than what is kept for cancels, so only those are "
                  "signed until there is space again",
                  directory_, low_errno_);
}

Result<std::uint64_t> Log::free_bytes() const {
  const std::int64_t bytes = disk_.free_bytes(directory_fd_.get());
  if (bytes < 0) return fail(unavailable("cannot tell how much disk is free", directory_));
  return static_cast<std::uint64_t>(bytes);
}

tl::unexpected<Error> Log::fail_for_good() {
  failed_errno_.store(errno != 0 ? errno : EIO);
  return fail(*failure());
}

void Log::drop_buffer() {
  for (const Lost& mac : macs_) {
    const auto before = std::find_if(lost_.begin(), lost_.end(), [&](const Lost& lost) {
      return lost.worker == mac.worker && lost.to + 1 == mac.from;
    });
    if (before == lost_.end()) {
      lost_.push_back(mac);
    } else {
      before->to = mac.to;
    }
  }
  macs_.clear();
  buffer_.clear();
  ahead_ = tree_;
}

Result<std::uint64_t> Log::sync() {
  if (const auto error = failure()) return fail(*error);
  // In this order: a segment that begins in between has made durable what was before it.
  const std::uint64_t written = written_.load(std::memory_order_acquire);
  const std::shared_ptr<const OwnedFd> segment = [this] {
    const std::lock_guard lock{segment_mutex_};
    return segment_.descriptor();
  }();
  const bool notes = notes_dirty_.exchange(false);
  if (disk_.fdatasync(segment->get()) != 0 || (notes && disk_.fdatasync(checkpoints_.fd()) != 0))
    return fail_for_good();
  durable_.store(written, std::memory_order_release);
  return written;
}

std::optional<Error> Log::failure() const {
  const int why = failed_errno_.load();
  if (why == 0) return std::nullopt;
  return os_error(Code::audit_unavailable,
                  "the audit log could not be made durable, so nothing is signed until a restart; "
                  "check the disk first",
                  directory_, why);
}

Result<void> Log::add_checkpoint(std::string_view note) {
  if (const auto error = failure()) return fail(*error);
  const Result<CheckpointText> text = read_note_unverified(note);
  if (!text) return fail(Code::audit_unavailable, "not a checkpoint", text.error().sentence());
  const Head head{.size = text->size, .root = text->root};
  if (head.size > durable_size())
    return fail(Code::audit_unavailable, "a checkpoint over records that are not durable yet",
                std::to_string(head.size) + " of " + std::to_string(durable_size()));
  if (head.size < sealed_.size ||
      (head.size == sealed_.size && sealed_.size != 0 && head != sealed_))
    return fail(Code::audit_unavailable, "a checkpoint that goes behind the last one",
                std::to_string(head.size) + " after " + std::to_string(sealed_.size));
  if (head.size == size() && head.root != root())
    return fail(Code::audit_unavailable, "a checkpoint with another root than the log's");
  keep_reserve(checkpoints_, note.size() + 1, rotation_.reserve / kNotesShare);
  TRY_VOID(checkpoints_.append(std::string{note} + "\n"));
  sealed_ = head;
  notes_dirty_ = true;
  return {};
}

}  // namespace hsm::audit

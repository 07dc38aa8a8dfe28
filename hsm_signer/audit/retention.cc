#include "hsm_signer/audit/retention.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "hsm_signer/audit/file_names.h"
#include "hsm_signer/base/hash.h"

namespace hsm::audit {
namespace {

// Where a state is written before it has its name.
constexpr std::string_view kNewRetired = "audit-retired.new";
constexpr std::uint64_t kAskEvery = 1024;  // Records, between two looks whether to go on.

Error cannot(std::string_view what, const std::string& path) {
  return os_error(Code::audit_unavailable, what, path);
}

// Collects one segment after the other.
class Planner {
 public:
  explicit Planner(const CutQuestion& question) : question_{question} {}

  // False where the segment of this line stays; why() says why.
  Result<bool> take(const LogLine& line) {
    TRY_VOID(parse(line));
    if (record_.time >= question_.before)
      return stays(line, "is of " + rfc3339(record_.time) + ", which is not before " +
                             rfc3339(question_.before));
    if (line.seq > question_.sealed)
      return stays(line, "is not under a checkpoint yet, or not anchored");
    if (question_.still_counts && question_.still_counts(record_))
      return stays(line,
                   "still counts: in a window of the policy, or against another use of a "
                   "statement that has not expired");
    segment_.begin = segment_.count == 0 ? record_.time : std::min(segment_.begin, record_.time);
    segment_.end = segment_.count == 0 ? record_.time : std::max(segment_.end, record_.time);
    ++segment_.count;
    segment_.records = line.seq;
    segment_.bytes = line.offset;
    return true;
  }

  // The segment was read to its end.
  void end_segment(Cut& cut) {
    if (segment_.count != 0) {
      cut.begin = cut.count == 0 ? segment_.begin : std::min(cut.begin, segment_.begin);
      cut.end = cut.count == 0 ? segment_.end : std::max(cut.end, segment_.end);
      cut.count += segment_.count;
      cut.records = segment_.records;
      cut.bytes += segment_.bytes;
    }
    ++cut.kept_from;
    segment_ = {};
  }

  const std::string& why() const { return why_; }

 private:
  Result<void> parse(const LogLine& line) {
    if (line.seq % kAskEvery == 0 && question_.goes_on && !question_.goes_on())
      return fail(Code::overloaded, "the signer is stopping");
    auto read = parse_line(line.text, record_);
    if (read) return {};
    read.error().detail +=
        " (" + std::string{line.file} + ":" + std::to_string(line.line) + "; see audit verify)";
    return read;
  }
  bool stays(const LogLine& line, const std::string& because) {
    why_ = std::string{line.file} + " stays: record " + std::to_string(line.seq) + " " + because;
    return false;
  }

  const CutQuestion& question_;
  Record record_;
  Cut segment_;  // So far.
  std::string why_;
};

}  // namespace

Result<Cut> plan_cut(const std::string& directory, const CutQuestion& question) {
  TRY(SegmentReader reader, SegmentReader::open(directory));
  Cut cut{.first = reader.files().first, .kept_from = reader.files().first};
  cut.records = reader.seq();
  Planner planner{question};
  for (;;) {
    TRY(const std::optional<LogLine> line, reader.next());
    const std::uint64_t number = line ? segment_number(line->file).value_or(0) : question.current;
    // Empty segments have no line to tell them by.
    while (cut.kept_from < std::min(number, question.current)) planner.end_segment(cut);
    if (number >= question.current) {
      cut.why = segment_name(question.current) + " stays: it is written to";
      return cut;
    }
    TRY(const bool old, planner.take(*line));
    if (old) continue;
    cut.why = planner.why();
    return cut;
  }
}

Record retention_record(const Peer& who, const Retired& retired, std::string_view retired_sha256,
                        Clock::Wall before) {
  Record record = Record::admin_event(who, kRetentionAction,
                                      "records 1 to " + std::to_string(retired.records()));
  record.text_sha256 = retired_sha256;
  record.detail = "before " + rfc3339(before) + ", records " + std::to_string(retired.records()) +
                  ", kept_from " + std::to_string(retired.kept_from) + ", root " +
                  hex_encode(retired.tree.root());
  return record;
}

void RetentionRecords::see(const Record& record) {
  if (record.kind != Kind::admin || record.action != kRetentionAction) return;
  const auto wanted = wanted_.find(record.text_sha256);
  if (wanted == wanted_.end() || wanted->second) return;
  wanted->second =
      Found{.seq = record.seq,
            .time = record.time,
            .by = record.officers.empty() ? "uid " + std::to_string(record.uid) : record.officers};
}

std::optional<RetentionRecords::Found> RetentionRecords::found(const std::string& sha256) const {
  const auto wanted = wanted_.find(sha256);
  return wanted == wanted_.end() ? std::nullopt : wanted->second;
}

namespace {

Result<void> sync_names(const std::string& directory, Disk& disk) {
  const OwnedFd fd{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!fd.valid() || disk.fsync(fd.get()) != 0)
    return fail(cannot("cannot make a directory durable", directory));
  return {};
}

Result<void> unlink_file(const std::string& path, Disk& disk) {
  if (disk.unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return fail(cannot("cannot remove a file of the audit log", path));
}

Result<void> write_text(const std::string& path, std::string_view text, Disk& disk) {
  TRY_VOID(unlink_file(path, disk));
  const OwnedFd fd{
      disk.open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
  if (!fd.valid()) return fail(cannot("cannot write what is kept of old records", path));
  while (!text.empty()) {
    const ssize_t wrote = disk.write(fd.get(), text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return fail(cannot("cannot write what is kept of old records", path));
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  if (disk.fchmod(fd.get(), 0400) != 0 || disk.fdatasync(fd.get()) != 0)
    return fail(cannot("cannot make durable what is kept of old records", path));
  return {};
}

// What stands before segment `kept_from`, segments first and lowest number first.
Result<std::vector<std::string>> names_before(const std::string& directory,
                                              std::uint64_t kept_from) {
  TRY(const LogFiles files, list_log(directory));
  std::vector<std::string> segments = files.leftovers;
  segments.insert(segments.end(), files.segments.begin(), files.segments.end());
  std::vector<std::string> states = files.pending;
  states.push_back(files.base);
  states.insert(states.end(), files.leftovers.begin(), files.leftovers.end());
  std::vector<std::string> names;
  for (const std::string& name : segments)
    if (const auto number = kSegmentNames.number(name); number && *number < kept_from)
      names.push_back(name);
  for (const std::string& name : states)
    if (const auto last = kRetiredNames.number(name); last && *last + 1 < kept_from)
      names.push_back(name);
  return names;
}

}  // namespace

Result<std::string> write_retired(const std::string& directory, Disk& disk,
                                  const Retired& retired) {
  TRY(const std::string text, retired_text(retired));
  if (text.size() > kRetiredLimit)
    return fail(Code::too_large, "what is to be kept of old records is too large",
                std::to_string(text.size()) + " bytes");
  const std::string fresh = directory + "/" + std::string{kNewRetired};
  const std::string path = directory + "/" + retired_name(retired.kept_from - 1);
  TRY_VOID(write_text(fresh, text, disk));
  if (disk.rename(fresh.c_str(), path.c_str()) != 0)
    return fail(cannot("cannot write what is kept of old records", path));
  TRY_VOID(sync_names(directory, disk));
  return hex_encode(sha256(as_bytes(text)));
}

// The first that goes is durably gone before the next: from then on reading begins behind all of
// them, whichever of the others a power cut brings back.
Result<void> remove_before(const std::string& directory, Disk& disk, std::uint64_t kept_from) {
  TRY(const std::vector<std::string> names, names_before(directory, kept_from));
  if (names.empty()) return {};
  TRY_VOID(remove_files(directory, disk, {names.front()}));
  return remove_files(directory, disk, {names.begin() + 1, names.end()});
}

Result<void> remove_files(const std::string& directory, Disk& disk,
                          const std::vector<std::string>& names) {
  if (names.empty()) return {};
  for (const std::string& name : names) TRY_VOID(unlink_file(directory + "/" + name, disk));
  return sync_names(directory, disk);
}

}  // namespace hsm::audit

#include "hsm_signer/audit/segments.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "hsm_signer/audit/file_names.h"

namespace hsm::audit {
namespace {

// By number, ascending.
struct Numbers {
  std::vector<std::uint64_t> segments;
  std::vector<std::uint64_t> retired;
};

// What a reader may not pass over in silence. The name itself stays out of the sentence: whoever
// may write here chose it.
Result<void> take(const std::string& directory, const FileNames& names, std::string_view file,
                  std::vector<std::uint64_t>& numbers) {
  if (!names.look_like(file)) return {};
  const std::optional<std::uint64_t> number = names.number(file);
  if (number) {
    numbers.push_back(*number);
    return {};
  }
  return fail(Code::verification_failed, "a file that is named almost like a segment",
              "in " + directory + ", matching " + std::string{names.prefix} + "*" +
                  std::string{names.suffix} + "; they are " + names.name(1) + ", " + names.name(2) +
                  " and so on: move it away");
}

Result<Numbers> read_numbers(const std::string& directory) {
  std::error_code error;
  Numbers numbers;
  std::filesystem::directory_iterator entry{directory, error};
  for (; !error && entry != std::filesystem::directory_iterator{}; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    TRY_VOID(take(directory, kSegmentNames, name, numbers.segments));
    TRY_VOID(take(directory, kRetiredNames, name, numbers.retired));
  }
  if (error)
    return fail(os_error(Code::usage, "cannot read the directory", directory, error.value()));
  std::sort(numbers.segments.begin(), numbers.segments.end());
  std::sort(numbers.retired.begin(), numbers.retired.end());
  return numbers;
}

// The first number from `first` on that is not there; nothing where all are, up to the last.
std::optional<std::uint64_t> hole(const std::vector<std::uint64_t>& numbers, std::uint64_t first) {
  const auto from = std::lower_bound(numbers.begin(), numbers.end(), first);
  std::uint64_t next = first;
  for (auto number = from; number != numbers.end(); ++number, ++next)
    if (*number != next) return next;
  return from == numbers.end() ? std::optional{first} : std::nullopt;
}

// Where the log begins: as early as it can be read from without a hole. A first segment that is
// there is where it begins, come what may.
Result<std::uint64_t> first_of(const Numbers& numbers) {
  std::vector<std::uint64_t> starts;
  if (!numbers.segments.empty() && numbers.segments.front() == 1) {
    starts = {1};
  } else {
    for (const std::uint64_t last : numbers.retired) starts.push_back(last + 1);
  }
  for (const std::uint64_t start : starts)
    if (!hole(numbers.segments, start)) return start;
  const std::uint64_t missing = *hole(numbers.segments, starts.empty() ? 1 : starts.back());
  std::string detail = segment_name(missing);
  if (!numbers.segments.empty() && numbers.segments.back() > missing)
    detail +=
        " (there is " +
        segment_name(*std::upper_bound(numbers.segments.begin(), numbers.segments.end(), missing)) +
        ")";
  return fail(Code::verification_failed, "a segment of the audit log is missing",
              detail + "; bring it back from a copy");
}

}  // namespace

std::string segment_name(std::uint64_t number) { return kSegmentNames.name(number); }

std::optional<std::uint64_t> segment_number(std::string_view name) {
  return kSegmentNames.number(name);
}

Result<LogFiles> list_log(const std::string& directory) {
  TRY(const Numbers numbers, read_numbers(directory));
  if (numbers.segments.empty() && numbers.retired.empty())
    return fail(Code::usage, "no audit log here", directory + " has no audit-000001.jsonl");
  LogFiles files;
  TRY(files.first, first_of(numbers));
  for (const std::uint64_t number : numbers.segments)
    (number < files.first ? files.leftovers : files.segments).push_back(segment_name(number));
  for (const std::uint64_t last : numbers.retired) {
    std::string name = retired_name(last);
    if (last + 1 == files.first)
      files.base = std::move(name);
    else
      (last < files.first ? files.leftovers : files.pending).push_back(std::move(name));
  }
  return files;
}

Result<SegmentReader> SegmentReader::open(const std::string& directory) {
  TRY(LogFiles files, list_log(directory));
  std::optional<RetiredFile> base;
  if (!files.base.empty()) {
    TRY(base, read_retired(directory, files.base));
  }
  SegmentReader reader{directory, std::move(files), std::move(base)};
  TRY_VOID(reader.open_current());
  return reader;
}

Result<void> SegmentReader::open_current() {
  TRY(fd_, open_regular_file(directory_ + "/" + file()));
  lines_ = std::make_unique<LineReader>(fd_.get(), kLineLimit);
  return {};
}

Result<std::optional<LogLine>> SegmentReader::next() {
  for (;;) {
    auto text = lines_->next();
    if (!text) {
      text.error().detail = file() + ": " + text.error().detail;
      return fail(std::move(text).error());
    }
    if (*text)
      return std::optional{LogLine{.text = **text,
                                   .file = file(),
                                   .line = line(),
                                   .seq = ++seq_,
                                   .offset = lines_->offset()}};
    if (current_ + 1 == files_.segments.size()) return std::optional<LogLine>{};
    if (rest() != 0)
      return fail(Code::verification_failed, "a segment that is not the last ends inside a line",
                  file() + ": line " + std::to_string(line() + 1));
    ++current_;
    TRY_VOID(open_current());
  }
}

Result<void> SegmentReader::look_again() {
  TRY(LogFiles files, list_log(directory_));
  const auto there = [&files](const std::string& name) {
    return std::find(files.segments.begin(), files.segments.end(), name);
  };
  if (there(files_.segments.back()) == files.segments.end())
    return fail(Code::verification_failed, "a segment of the audit log is missing",
                files_.segments.back() + " was there before");
  const auto here = there(file());
  if (here == files.segments.end())
    return fail(Code::verification_failed, "a segment was let go while it was read", file());
  current_ = static_cast<std::size_t>(here - files.segments.begin());
  files_ = std::move(files);
  lines_->forget_rest();
  return {};
}

}  // namespace hsm::audit

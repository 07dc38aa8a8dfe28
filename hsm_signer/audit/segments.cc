#include "hsm_signer/audit/segments.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <system_error>

namespace hsm::audit {
namespace {

constexpr std::string_view kPrefix = "audit-";
constexpr std::string_view kSuffix = ".jsonl";
constexpr std::size_t kDigits = 6;

bool looks_like_segment(std::string_view name) {
  return name.starts_with(kPrefix) && name.ends_with(kSuffix);
}

// What a reader may not pass over in silence: a segment under another name, or one that is gone.
Result<void> check_numbers(const std::vector<std::uint64_t>& numbers) {
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] == i + 1) continue;
    return fail(Code::verification_failed, "a segment of the audit log is missing",
                segment_name(i + 1) + " (there is " + segment_name(numbers[i]) +
                    "); bring it back from a copy");
  }
  return {};
}

}  // namespace

std::string segment_name(std::uint64_t number) {
  std::string digits = std::to_string(number);
  if (digits.size() < kDigits) digits.insert(0, kDigits - digits.size(), '0');
  return std::string{kPrefix} + digits + std::string{kSuffix};
}

std::optional<std::uint64_t> segment_number(std::string_view name) {
  if (!looks_like_segment(name) || name.size() < kPrefix.size() + kDigits + kSuffix.size())
    return std::nullopt;
  const std::string_view digits =
      name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  if (number == 0 || segment_name(number) != name) return std::nullopt;
  return number;
}

Result<std::vector<std::string>> list_segments(const std::string& directory) {
  std::error_code error;
  std::vector<std::uint64_t> numbers;
  std::filesystem::directory_iterator entry{directory, error};
  for (; !error && entry != std::filesystem::directory_iterator{}; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!looks_like_segment(name)) continue;
    const std::optional<std::uint64_t> number = segment_number(name);
    // The name itself stays out of the sentence: whoever may write here chose it.
    if (!number)
      return fail(Code::verification_failed, "a file that is named almost like a segment",
                  "in " + directory +
                      ", matching audit-*.jsonl; segments are audit-000001.jsonl, "
                      "audit-000002.jsonl and so on: move it away");
    numbers.push_back(*number);
  }
  if (error)
    return fail(os_error(Code::usage, "cannot read the directory", directory, error.value()));
  if (numbers.empty())
    return fail(Code::usage, "no audit log here", directory + " has no audit-000001.jsonl");
  std::sort(numbers.begin(), numbers.end());
  TRY_VOID(check_numbers(numbers));
  std::vector<std::string> names;
  for (const std::uint64_t number : numbers) names.push_back(segment_name(number));
  return names;
}

Result<SegmentReader> SegmentReader::open(const std::string& directory) {
  TRY(std::vector<std::string> files, list_segments(directory));
  SegmentReader reader{directory, std::move(files)};
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
    if (current_ + 1 == files_.size()) return std::optional<LogLine>{};
    if (rest() != 0)
      return fail(Code::verification_failed, "a segment that is not the last ends inside a line",
                  file() + ": line " + std::to_string(line() + 1));
    ++current_;
    TRY_VOID(open_current());
  }
}

Result<void> SegmentReader::look_again() {
  TRY(std::vector<std::string> files, list_segments(directory_));
  if (files.size() < files_.size())
    return fail(Code::verification_failed, "a segment of the audit log is missing",
                files_.back() + " was there before");
  files_ = std::move(files);
  lines_->forget_rest();
  return {};
}

}  // namespace hsm::audit

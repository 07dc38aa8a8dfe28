#include "hsm_signer/policy/zone.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "hsm_signer/base/os.h"

namespace hsm::policy {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;
using std::chrono::year;

constexpr std::string_view kDatabase = "/usr/share/zoneinfo/";
constexpr std::size_t kNameLimit = 64;
constexpr std::size_t kFileLimit = 65'536;
// RFC 8536 section 3.2, utoff.
constexpr std::int32_t kLeastOffset = -25 * 3600 + 1;
constexpr std::int32_t kMostOffset = 26 * 3600 - 1;
constexpr year kFirstYear{1970};
constexpr year kLastYear{2262};  // 2^63 nanoseconds after 1970.

tl::unexpected<Error> damaged() {
  return fail(Code::usage, "not a time zone file of version 2 or later");
}

// Big-endian numbers, as RFC 8536 has them. Once it is short it stays so and gives zeros.
class Cursor {
 public:
  explicit Cursor(ByteView rest) : rest_{rest} {}

  bool short_of_bytes() const { return short_; }
  ByteView rest() const { return rest_; }
  ByteView take(std::size_t count) {
    if (count > rest_.size()) {
      short_ = true;
      rest_ = {};
      return {};
    }
    const ByteView taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  template <class Number>
  Number number() {
    std::uint64_t value = 0;
    for (const auto byte : take(sizeof(Number))) value = value << 8 | byte;
    return static_cast<Number>(value);
  }

 private:
  ByteView rest_;
  bool short_ = false;
};

// RFC 8536 section 3.1.
struct Header {
  std::uint32_t isut, isstd, leap, time, type, chars;

  // Of the data block that follows, with times of so many bytes.
  std::size_t block(std::size_t time_size) const {
    return std::size_t{time} * (time_size + 1) + std::size_t{type} * 6 + chars +
           std::size_t{leap} * (time_size + 4) + isstd + isut;
  }
};

Result<Header> read_header(Cursor& in) {
  constexpr std::size_t kReserved = 15;
  const std::string_view magic = as_text(in.take(4));
  const ByteView version = in.take(1);
  in.take(kReserved);
  Header header{};
  for (std::uint32_t* count :
       {&header.isut, &header.isstd, &header.leap, &header.time, &header.type, &header.chars})
    *count = in.number<std::uint32_t>();
  if (in.short_of_bytes() || magic != "TZif" || version[0] < '2' || header.type == 0)
    return damaged();
  // A "right/" zone: its clock differs from that of Clock::Wall.
  if (header.leap != 0) return fail(Code::usage, "the time zone counts leap seconds");
  return header;
}

// The data block of RFC 8536 section 3.2: the changes, and the offset before the first.
struct Block {
  seconds before;
  std::vector<Change> changes;
};
Result<Block> read_block(Cursor& in, const Header& header) {
  if (header.block(8) > in.rest().size()) return damaged();
  Block block;
  for (std::uint32_t i = 0; i < header.time; ++i) {
    const sys_seconds at{seconds{in.number<std::int64_t>()}};
    if (i != 0 && at <= block.changes.back().at) return damaged();
    block.changes.push_back({at, seconds{0}});
  }
  const ByteView types = in.take(header.time);
  std::vector<seconds> offsets;
  for (std::uint32_t i = 0; i < header.type; ++i) {
    const auto offset = in.number<std::int32_t>();
    in.take(2);  // Whether it is daylight saving, and its abbreviation.
    if (offset < kLeastOffset || offset > kMostOffset) return damaged();
    offsets.emplace_back(offset);
  }
  for (std::uint32_t i = 0; i < header.time; ++i) {
    if (types[i] >= offsets.size()) return damaged();
    block.changes[i].offset = offsets[types[i]];
  }
  block.before = offsets[0];
  in.take(header.chars + header.isstd + header.isut);
  return block;
}

// RFC 8536 section 3.3: a line of its own, and nothing after it.
Result<std::string_view> read_footer(const Cursor& in) {
  const std::string_view footer = as_text(in.rest());
  if (footer.size() < 3 || footer.front() != '\n' || footer.find('\n', 1) != footer.size() - 1)
    return damaged();
  return footer.substr(1, footer.size() - 2);
}

// A path below the database of which no part can lead out of it.
bool is_zone_name(std::string_view name) {
  const auto plain = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '+' || c == '/';
  };
  if (name.empty() || name.size() > kNameLimit || name.front() == '/' || name.back() == '/' ||
      name.find("//") != name.npos || !std::all_of(name.begin(), name.end(), plain))
    return false;
  constexpr std::array<std::string_view, 3> kOfThisMachine{"localtime", "posixrules", "Factory"};
  return std::find(kOfThisMachine.begin(), kOfThisMachine.end(), name) == kOfThisMachine.end();
}

}  // namespace

Result<Zone> Zone::load(std::string_view name) {
  if (name == "UTC") return Zone{};
  // A name that is no path is not repeated: it may be anything.
  if (!is_zone_name(name))
    return fail(Code::usage, "not a time zone's name, which is like America/New_York, or UTC");
  const auto file = read_file(std::string{kDatabase}.append(name), kFileLimit);
  if (!file)
    return fail(Code::usage, "no such time zone in /usr/share/zoneinfo (package tzdata)",
                std::string{name});
  auto zone = parse(*file);
  if (!zone) return fail(zone.error().code, zone.error().what, std::string{name});
  return zone;
}

Result<Zone> Zone::parse(ByteView file) {
  Cursor in{file};
  TRY(const Header old, read_header(in));
  in.take(old.block(4));  // The same with times of 32 bits.
  TRY(const Header header, read_header(in));
  TRY(Block block, read_block(in, header));
  TRY(const std::string_view footer, read_footer(in));
  TRY(const ZoneRule rule, ZoneRule::parse(footer));
  Zone zone;
  // RFC 8536 section 3.3: without any change the rule says all.
  zone.before_ = block.changes.empty() ? rule.standard() : block.before;
  zone.changes_ = std::move(block.changes);
  zone.follow(rule);
  return zone;
}

// The rule holds after the last change that the file lists.
void Zone::follow(const ZoneRule& rule) {
  year first = kFirstYear;
  sys_seconds last = sys_seconds::min();
  if (!changes_.empty()) {
    last = changes_.back().at;
    const auto clamped = std::clamp(last, sys_seconds{std::chrono::sys_days{kFirstYear / 1 / 1}},
                                    sys_seconds{std::chrono::sys_days{kLastYear / 1 / 1}});
    const std::chrono::year_month_day date{std::chrono::floor<std::chrono::days>(clamped)};
    first = date.year();
  }
  for (const Change& change : rule.changes(first, kLastYear)) {
    if (change.at <= last) continue;
    changes_.push_back(change);
    last = change.at;
  }
}

seconds Zone::offset_at(sys_seconds time) const {
  const auto after =
      std::upper_bound(changes_.begin(), changes_.end(), time,
                       [](sys_seconds t, const Change& change) { return t < change.at; });
  return after == changes_.begin() ? before_ : std::prev(after)->offset;
}

}  // namespace hsm::policy

// Which records of a log somebody wants to see.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "hsm_signer/audit/record.h"
#include "hsm_signer/audit/segments.h"
#include "hsm_signer/base/result.h"

namespace hsm::audit_tools {

// From `since` on, up to but without `until`.
struct Span {
  std::optional<Clock::Wall> since{};
  std::optional<Clock::Wall> until{};

  bool contains(Clock::Wall time) const {
    return (!since || time >= *since) && (!until || time < *until);
  }
};
// "2026-03-01T00:00:00Z" or "2026-03-01", which begins at midnight UTC; empty: no bound. usage:
// another form, or an end that is not behind the beginning.
Result<Span> parse_span(std::string_view since, std::string_view until);

// Empty members ask for nothing; all others have to hold.
struct Filter {
  std::string key{};     // Also of admin records about it ("key:NAME").
  std::string client{};  // The same ("client:NAME").
  std::string api_key_id{};
  std::string verdict{};  // "allow", "refuse"; of sign records.
  std::string code{};
  std::string rule{};
  std::string endpoint{};  // As in the record, or "class:move".
  std::string reference{};
  std::optional<audit::Kind> kind{};
  Span span{};
  std::uint64_t first = 1;  // Sequences, both included.
  std::uint64_t last = std::numeric_limits<std::uint64_t>::max();
};
bool matches(const Filter& filter, const audit::Record& record);

// "sign", "key"…; usage for another word, with those that there are.
Result<audit::Kind> parse_kind(std::string_view text);
std::string_view name(audit::Kind kind);
// "17", "17..", "17..20", "..20" into `filter`.
Result<void> parse_sequences(std::string_view text, Filter& filter);

// Gives each record of a log that matches to `visit`, with its line, until that answers false.
// verification_failed, with file and line: one that is no record. An unfinished line at the very
// end is passed over.
template <class Visit>
Result<void> visit_records(const std::string& directory, const Filter& filter, const Visit& visit) {
  TRY(audit::SegmentReader reader, audit::SegmentReader::open(directory));
  for (;;) {
    TRY(const std::optional<audit::LogLine> line, reader.next());
    if (!line || line->seq > filter.last) return {};
    if (line->seq < filter.first) continue;
    Result<audit::Record> record = audit::parse_line(line->text);
    if (!record) {
      record.error().detail +=
          " (" + std::string{line->file} + ":" + std::to_string(line->line) + "; see audit verify)";
      return fail(std::move(record).error());
    }
    if (matches(filter, *record) && !visit(*record, *line)) return {};
  }
}

}  // namespace hsm::audit_tools

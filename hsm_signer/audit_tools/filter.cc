#include "hsm_signer/audit_tools/filter.h"

#include <array>
#include <charconv>
#include <utility>

#include "hsm_signer/base/duration.h"

namespace hsm::audit_tools {
namespace {

using audit::Kind;
using audit::Record;

constexpr std::array<std::pair<Kind, std::string_view>, 9> kKinds{{{Kind::sign, "sign"},
                                                                   {Kind::key, "key"},
                                                                   {Kind::admin, "admin"},
                                                                   {Kind::start, "start"},
                                                                   {Kind::stop, "stop"},
                                                                   {Kind::gap, "gap"},
                                                                   {Kind::usage, "usage"},
                                                                   {Kind::refusals, "refusals"},
                                                                   {Kind::token, "token"}}};
constexpr std::string_view kClass = "class:";

// What a record of another kind holds besides its own members is ignored, so it may not match.
bool equals(const std::string& wanted, bool has_it, const std::string& value) {
  return wanted.empty() || (has_it && wanted == value);
}

bool is_about(const std::string& wanted, bool has_it, const std::string& value,
              std::string_view subject, const Record& record) {
  if (wanted.empty() || (has_it && wanted == value)) return true;
  if (record.kind != Kind::admin) return false;
  // "key:desk-a.trade", and of an approval "client:mm-bot key:desk-a.trade".
  const std::string whole = std::string{subject} + wanted;
  const std::string padded = " " + record.subject + " ";
  return padded.find(" " + whole + " ") != padded.npos;
}

bool at_endpoint(const std::string& wanted, bool sign, const Record& record) {
  if (!std::string_view{wanted}.starts_with(kClass)) return equals(wanted, sign, record.endpoint);
  return sign && wanted.substr(kClass.size()) == record.endpoint_class;
}

Result<std::optional<Clock::Wall>> parse_bound(std::string_view text, std::string_view option) {
  if (text.empty()) return std::optional<Clock::Wall>{};
  const bool day = text.find('T') == text.npos;
  const Result<Clock::Wall> time = parse_instant(std::string{text} + (day ? "T00:00:00Z" : ""));
  if (!time)
    return fail(Code::usage, "not a time as 2026-03-01 or 2026-03-01T09:30:00Z",
                std::string{option});
  return std::optional{*time};
}

Result<std::uint64_t> parse_sequence(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value == 0)
    return fail(Code::usage, "not a sequence or range of them", "17, 17.., 17..20 or ..20");
  return value;
}

}  // namespace

Result<Span> parse_span(std::string_view since, std::string_view until) {
  Span span;
  TRY(span.since, parse_bound(since, "--since"));
  TRY(span.until, parse_bound(until, "--until"));
  if (span.since && span.until && *span.until <= *span.since)
    return fail(Code::usage, "--until is not behind --since");
  return span;
}

bool matches(const Filter& filter, const Record& record) {
  const bool sign = record.kind == Kind::sign;
  const bool keyed = sign || record.kind == Kind::key;
  const bool refused = sign && record.verdict == audit::Verdict::refuse;
  if (record.seq < filter.first || record.seq > filter.last) return false;
  if (filter.kind && *filter.kind != record.kind) return false;
  if (!filter.span.contains(record.time)) return false;
  return is_about(filter.key, keyed, record.key, "key:", record) &&
         is_about(filter.client, sign, record.client, "client:", record) &&
         equals(filter.api_key_id, keyed, record.api_key_id) &&
         equals(filter.verdict, sign, refused ? "refuse" : "allow") &&
         equals(filter.code, refused, record.code) && equals(filter.rule, sign, record.rule) &&
         at_endpoint(filter.endpoint, sign, record) &&
         equals(filter.reference, sign, record.reference);
}

Result<Kind> parse_kind(std::string_view text) {
  for (const auto& [kind, spelled] : kKinds)
    if (spelled == text) return kind;
  return fail(Code::usage, "no such kind of record",
              "sign, key, admin, start, stop, gap, usage, refusals or token");
}

std::string_view name(Kind kind) {
  for (const auto& [known, spelled] : kKinds)
    if (known == kind) return spelled;
  return {};
}

Result<void> parse_sequences(std::string_view text, Filter& filter) {
  const std::size_t dots = text.find("..");
  const std::string_view first = text.substr(0, dots);
  const std::string_view last = dots == text.npos ? first : text.substr(dots + 2);
  if (first.empty() && last.empty())
    return fail(Code::usage, "not a sequence or range of them", "17, 17.., 17..20 or ..20");
  if (!first.empty()) {
    TRY(filter.first, parse_sequence(first));
  }
  if (!last.empty()) {
    TRY(filter.last, parse_sequence(last));
  }
  if (filter.last < filter.first)
    return fail(Code::usage, "a range of sequences that ends before it begins");
  return {};
}

}  // namespace hsm::audit_tools

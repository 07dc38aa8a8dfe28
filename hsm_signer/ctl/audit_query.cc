#include <array>
#include <ostream>

#include "hsm_signer/audit_tools/filter.h"
#include "hsm_signer/audit_tools/text.h"
#include "hsm_signer/ctl/record_words.h"
#include "hsm_signer/ctl/verbs.h"

namespace hsm::ctl {
namespace {

using audit::Kind;
using audit::Record;
using audit_tools::printable;

// Widths of the columns before the last: rows are printed as they are found, so the widest of them
// is not known.
constexpr std::array<std::size_t, 6> kWidths{8, 20, 6, 16, 16, 24};

Result<audit_tools::Filter> filter_of(const QueryOptions& options) {
  audit_tools::Filter filter{.key = options.key,
                             .client = options.client,
                             .api_key_id = options.api_key_id,
                             .verdict = options.verdict,
                             .code = options.code,
                             .rule = options.rule,
                             .endpoint = options.endpoint,
                             .reference = options.reference,
                             .kind = {},
                             .span = {}};
  if (!options.kind.empty()) {
    TRY(filter.kind, audit_tools::parse_kind(options.kind));
  }
  TRY(filter.span, audit_tools::parse_span(options.since, options.until));
  if (!options.seq.empty()) TRY_VOID(audit_tools::parse_sequences(options.seq, filter));
  return filter;
}

std::string row(const std::array<std::string, 7>& cells) {
  std::string text;
  for (std::size_t i = 0; i < kWidths.size(); ++i) {
    text += cells[i];
    const std::size_t size = cells[i].size();
    text.append(size < kWidths[i] ? kWidths[i] - size : 0, ' ').append("  ");
  }
  return text + cells.back() + "\n";
}

std::string row_of(const Record& record) {
  const bool sign = record.kind == Kind::sign;
  const bool keyed = sign || record.kind == Kind::key;
  const bool allowed = sign && record.verdict == audit::Verdict::allow;
  const std::string kind =
      sign ? (allowed ? "allow" : "refuse") : std::string{audit_tools::name(record.kind)};
  return row({std::to_string(record.seq), rfc3339(record.time).substr(0, 19) + "Z", kind,
              sign ? printable(record.client) : "", keyed ? printable(record.key) : "",
              sign ? printable(record.endpoint) : "", printable(what_of(record))});
}

}  // namespace

void note_what_was_let_go(Context& context, const audit::SegmentReader& log) {
  if (log.base())
    context.note("records 1 to " + std::to_string(log.base()->retired.records()) +
                 " were let go: they are in the archive, not here");
}

Result<void> audit_query(Context& context, const QueryOptions& options) {
  TRY(const audit_tools::Filter filter, filter_of(options));
  std::uint64_t found = 0;
  const auto show = [&](const Record& record, const audit::LogLine& line) {
    ++found;
    if (context.json()) {
      context.out() << line.text << '\n';
    } else {
      if (found == 1)
        context.out() << row({"seq", "time", "what", "client", "key", "endpoint", "detail"});
      context.out() << row_of(record);
    }
    return context.out().good() && (options.limit == 0 || found < options.limit);
  };
  TRY_VOID(audit_tools::visit_records(options.directory, filter, show));
  if (found == 0) context.note("nothing found");
  TRY(const audit::SegmentReader log, audit::SegmentReader::open(options.directory));
  note_what_was_let_go(context, log);
  context.out().flush();
  return {};
}

}  // namespace hsm::ctl

#include "hsm_signer/audit_tools/report.h"
#include "hsm_signer/ctl/verbs.h"

namespace hsm::ctl {
namespace {

std::string written_text(const audit_tools::Report& report, const std::string& output) {
  std::string text = output + ": " + std::to_string(report.tally.records) + " records, " +
                     std::to_string(report.tally.allowed) + " signatures, " +
                     std::to_string(report.tally.refused) + " refusals\n";
  if (!report.incomplete.empty()) text += "counted up to the damage: " + report.incomplete + "\n";
  return text + (report.verified.ok() ? "the log verifies\n" : "the log does NOT verify\n");
}

}  // namespace

Result<void> audit_report(Context& context, const ReportOptions& options) {
  TRY_VOID(check_output(options.output, options.directory, options.key));
  TRY(const audit_tools::Span span, audit_tools::parse_span(options.since, options.until));
  TRY(const Bytes pem, read_file(options.key, kPemLimit));
  TRY(const audit_tools::Report report,
      audit_tools::make_report(options.directory, as_text(pem), span, SystemClock{}.wall(),
                               options.anchor));
  // Readable by its owner alone, as the log is: it names clients, keys and addresses.
  TRY_VOID(write_file_atomic(options.output, as_bytes(report_html(report)), 0600));
  Json json;
  json.boolean("ok", report.verified.ok())
      .number("records", report.tally.records)
      .number("allowed", report.tally.allowed)
      .number("refused", report.tally.refused)
      .boolean("complete", report.incomplete.empty())
      .text("output", options.output);
  context.answer(json, written_text(report, options.output));
  return audit::verdict(report.verified);
}

}  // namespace hsm::ctl

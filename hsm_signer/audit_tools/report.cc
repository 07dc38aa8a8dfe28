#include "hsm_signer/audit_tools/report.h"

#include <algorithm>

#include "hsm_signer/audit/checkpoint.h"
#include "hsm_signer/audit/notes.h"
#include "hsm_signer/audit_tools/report_style.h"

namespace hsm::audit_tools {
namespace {

using audit::Kind;
using audit::Record;
using Rows = std::vector<std::vector<std::string>>;

constexpr std::size_t kFindingsShown = 100;

std::string when(Clock::Wall time) {
  const std::string text = rfc3339(time);
  return text.substr(0, 10) + " " + text.substr(11, 8);
}

std::string count_of(std::uint64_t count, std::string_view one, std::string_view many) {
  return grouped(count) + " " + std::string{count == 1 ? one : many};
}

void card(Html& html, std::uint64_t number, std::string_view what) {
  html.raw("<div><b>").number(number).raw("</b><span>").text(what).raw("</span></div>\n");
}

void pair(Html& html, std::string_view term, std::string_view value) {
  html.raw("<dt>").text(term).raw("</dt><dd>").text(value).raw("</dd>\n");
}

void append_head(const Report& report, Html& html) {
  html.raw(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      // Belt and braces: nothing on the page asks for anything, and nothing could.
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"referrer\" content=\"no-referrer\">\n<title>Audit report</title>\n<style>\n");
  html.raw(report_style()).raw("</style></head>\n<body>\n<header>");
  html.element("h1", "Audit report");
  const std::string since = report.span.since ? when(*report.span.since) : "the log's beginning";
  const std::string until = report.span.until ? when(*report.span.until) : "its end";
  html.element("p", "Signatures of hsm-signer, from " + since + " to " + until +
                        ". All times are UTC. Made " + when(report.made) + ".");
  html.raw("</header>\n");
}

std::string_view state_class(const audit::Verified& log) {
  if (!log.ok()) return "bad";
  return log.warnings != 0 ? "warn" : "good";
}

std::string integrity_sentence(const audit::Verified& log) {
  if (!log.ok())
    return "The log does NOT verify: " + count_of(log.failures, "failure", "failures") + ".";
  std::string text = "The log verifies";
  if (log.warnings != 0) text += ", with " + count_of(log.warnings, "warning", "warnings");
  return text + ".";
}

void append_state(const Report& report, Html& html) {
  const audit::Verified& log = report.verified;
  html.raw("<div class=\"state ").raw(state_class(log)).raw("\"><strong>");
  html.text(integrity_sentence(log)).raw("</strong>\n");
  html.element("p", count_of(log.sealed, "record is", "records are") +
                        " sealed by signed checkpoints: none of them was changed, removed or put in"
                        " since, as far as the signing key is to be trusted.");
  if (!log.ok()) html.element("p", "What follows is what the log says, not what is proven.");
  if (log.unsealed != 0)
    html.element("p", count_of(log.unsealed, "record", "records") +
                          " at the end have no checkpoint yet: nothing proves these.");
  if (!report.incomplete.empty())
    html.element("p", "The counts below end where the log could not be read: " + report.incomplete);
  html.raw("</div>\n");
}

void append_totals(const Tally& tally, Html& html) {
  html.raw("<div class=\"cards\">\n");
  card(html, tally.allowed, "signatures");
  card(html, tally.refused, "refusals");
  card(html, tally.approvals.count, "approval events");
  card(html, tally.key_events.count, "key events");
  card(html, tally.admin.count, "acts of administrators");
  card(html, tally.lost, "MACs without record, at most");
  html.raw("</div>\n<div class=\"charts\">\n");
  append_chart("Signatures by key", tally.by_key, html);
  append_chart("Signatures by client", tally.by_client, html);
  append_chart("Refusals by code", tally.by_code, html);
  html.raw("</div>\n");
}

void append_verdicts(std::string_view title, std::string_view what,
                     const std::map<std::string, Verdicts>& map, Html& html) {
  html.element("h2", title);
  if (map.empty()) return void(html.raw("<p class=\"none\">none</p>\n"));
  Rows rows;
  for (const auto& [name, verdicts] : map)
    rows.push_back({name, grouped(verdicts.allowed), grouped(verdicts.refused)});
  html.table({{what}, {"signatures", Html::Of::number}, {"refusals", Html::Of::number}}, rows);
}

void append_reasons(const Tally& tally, Html& html) {
  html.element("h2", "Refusals by reason");
  if (tally.reasons.empty()) return void(html.raw("<p class=\"none\">none</p>\n"));
  std::vector<std::pair<Reason, std::uint64_t>> list{tally.reasons.begin(), tally.reasons.end()};
  std::stable_sort(list.begin(), list.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  Rows rows;
  for (const auto& [reason, count] : list)
    rows.push_back(
        {reason.first, reason.second.empty() ? "(no rule)" : reason.second, grouped(count)});
  html.table({{"code", Html::Of::word}, {"rule"}, {"refusals", Html::Of::number}}, rows);
}

// A table of events, a row each; `row` leaves out sequence and time.
template <class Row>
void append_events(std::string_view title, std::vector<Html::Column> columns, const Events& events,
                   const Row& row, Html& html) {
  html.element("h2", title);
  if (events.count == 0) return void(html.raw("<p class=\"none\">none</p>\n"));
  columns.insert(columns.begin(),
                 {Html::Column{"record", Html::Of::number}, Html::Column{"time", Html::Of::word}});
  Rows rows;
  for (const Record& record : events.records) {
    std::vector<std::string> cells = row(record);
    cells.insert(cells.begin(), {std::to_string(record.seq), when(record.time)});
    rows.push_back(std::move(cells));
  }
  html.table(columns, rows);
  if (events.count > events.records.size())
    html.raw("<p class=\"more\">and ")
        .number(events.count - events.records.size())
        .raw(" more: hsm-signerctl audit query</p>\n");
}

// "alice, bob": a table may break between them.
std::string listed(std::string officers) {
  for (std::size_t at = officers.find(','); at != officers.npos; at = officers.find(',', at + 1))
    officers.insert(at + 1, " ");
  return officers;
}

std::string with_reason(const Record& record) {
  if (record.reason.empty() || record.detail.empty()) return record.reason + record.detail;
  return record.reason + " (" + record.detail + ")";
}

std::string run_of(const Record& record) {
  if (record.kind == Kind::stop) return record.reason;
  if (record.kind == Kind::token)
    return record.token + " " + record.event + (record.detail.empty() ? "" : ": " + record.detail);
  if (record.kind == Kind::start)
    return "software " + record.software +
           (record.cut_bytes == 0
                ? ""
                : ", cut off a torn line of " + std::to_string(record.cut_bytes) + " bytes");
  return "counts " + std::to_string(record.from) + " to " + std::to_string(record.to) + ": " +
         record.reason;
}

void append_lists(const Tally& tally, Html& html) {
  append_events(
      "Approvals by officers",
      {{"event", Html::Of::word}, {"about"}, {"officers"}, {"statement"}, {"detail"}},
      tally.approvals,
      [](const Record& record) {
        return std::vector<std::string>{record.action, record.subject, listed(record.officers),
                                        record.statement, with_reason(record)};
      },
      html);
  append_events(
      "Keys",
      {{"event", Html::Of::word},
       {"key"},
       {"version", Html::Of::number},
       {"API key"},
       {"token"},
       {"uid", Html::Of::number}},
      tally.key_events,
      [](const Record& record) {
        return std::vector<std::string>{
            record.action,     record.key,   std::to_string(record.version),
            record.api_key_id, record.token, std::to_string(record.uid)};
      },
      html);
  append_events(
      "Policies", {{"by", Html::Of::word}, {"SHA-256 of the policy"}}, tally.policies,
      [](const Record& record) {
        const bool start = record.kind == Kind::start;
        return std::vector<std::string>{start ? "start" : record.action,
                                        start ? record.policy_sha256 : record.text_sha256};
      },
      html);
  append_events(
      "Acts of administrators",
      {{"act", Html::Of::word}, {"about"}, {"reason"}, {"officers"}, {"uid", Html::Of::number}},
      tally.admin,
      [](const Record& record) {
        return std::vector<std::string>{record.action, record.subject, with_reason(record),
                                        listed(record.officers), std::to_string(record.uid)};
      },
      html);
  append_events(
      "Starts, stops, gaps, tokens", {{"event", Html::Of::word}, {"detail"}}, tally.runs,
      [](const Record& record) {
        return std::vector<std::string>{std::string{name(record.kind)}, run_of(record)};
      },
      html);
}

void append_findings(const audit::Verified& log, Html& html) {
  if (log.findings.empty()) return;
  Rows rows;
  for (const audit::Finding& finding : log.findings) {
    if (rows.size() == kFindingsShown) break;
    rows.push_back({std::string{name(finding.severity)}, finding.file,
                    finding.line == 0 ? "" : std::to_string(finding.line), finding.sentence});
  }
  html.table(
      {{"finding", Html::Of::word}, {"file", Html::Of::word}, {"line", Html::Of::number}, {"what"}},
      rows);
  if (log.findings.size() > rows.size())
    html.raw("<p class=\"more\">and more: hsm-signerctl audit verify</p>\n");
}

void append_integrity(const Report& report, Html& html) {
  const audit::Verified& log = report.verified;
  html.element("h2", "Integrity of the log");
  html.raw("<dl>\n");
  pair(html, "Records",
       grouped(log.records) + ": " + grouped(log.allowed) + " signatures, " + grouped(log.refused) +
           " refusals");
  pair(html, "Sealed",
       grouped(log.sealed) + ", by " + count_of(log.checkpoints, "checkpoint", "checkpoints"));
  pair(html, "Not sealed yet", grouped(log.unsealed));
  pair(html, "Held against an anchor",
       report.anchored ? grouped(log.anchored) + ", by " + count_of(log.anchors, "note", "notes")
                       : "no");
  pair(html, "Root over all", hex_encode(log.root));
  pair(html, "Audit key", "SHA-256 " + report.key_fingerprint);
  html.raw("</dl>\n");
  if (report.last_note.empty()) {
    html.element("p", "The log has no checkpoint.");
  } else {
    html.element("p",
                 "Its last checkpoint. Who keeps it can ask later whether the log still contains "
                 "all of this: hsm-signerctl audit consistency.");
    html.lines("pre", report.last_note);
  }
  append_findings(log, html);
}

}  // namespace

Result<Report> make_report(const std::string& directory, std::string_view public_key_pem,
                           const Span& span, Clock::Wall now, const std::string& anchor) {
  TRY(const audit::AuditKey key, audit::AuditKey::from_pem(public_key_pem));
  Report report;
  TRY(report.verified,
      audit::verify_directory(directory, public_key_pem, audit::WithoutSeal::fails, anchor));
  report.anchored = !anchor.empty();
  report.key_fingerprint = key.fingerprint();
  report.span = span;
  report.made = now;
  // Of an unreadable file of checkpoints, verify has said what there is to say.
  report.last_note = audit::last_note(directory).value_or("");
  const Result<void> read =
      visit_records(directory, {.span = span}, [&](const Record& record, const audit::LogLine&) {
        add(report.tally, record);
        return true;
      });
  if (!read) report.incomplete = read.error().sentence();
  return report;
}

std::string report_html(const Report& report) {
  Html html;
  append_head(report, html);
  append_state(report, html);
  append_totals(report.tally, html);
  append_verdicts("Keys and what they signed", "key", report.tally.keys, html);
  append_verdicts("Clients", "client", report.tally.clients, html);
  append_verdicts("Kinds of requests", "class", report.tally.classes, html);
  append_reasons(report.tally, html);
  append_lists(report.tally, html);
  append_integrity(report, html);
  html.raw("<footer>Made by hsm-signerctl audit report ").text(HSM_VERSION);
  html.raw(
      " from the log alone. What the exchange shows: hsm-signerctl audit reconcile.</footer>\n");
  html.raw("</body></html>\n");
  return html.done();
}

}  // namespace hsm::audit_tools

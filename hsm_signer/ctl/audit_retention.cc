// Old records go: the signer does it, on officers' word.
#include "hsm_signer/base/duration.h"
#include "hsm_signer/ctl/admin_call.h"
#include "hsm_signer/ctl/verbs.h"
#include "hsm_signer/wire/admin.h"

namespace hsm::ctl {
namespace {

// The signer reads and verifies all that goes, and the next checkpoint has to come.
constexpr std::chrono::minutes kPatience{60};

// "2026-01-01" begins at midnight UTC.
Result<Clock::Wall> before_of(const std::string& text) {
  const bool day = text.find('T') == text.npos;
  const Result<Clock::Wall> time = parse_instant(text + (day ? "T00:00:00Z" : ""));
  if (!time)
    return fail(Code::usage, "not a time as 2026-01-01 or 2026-01-01T00:00:00Z", "--before");
  if (*time > SystemClock{}.wall())
    return fail(Code::usage, "records that are yet to come cannot be let go",
                "--before " + text + " is in the future");
  return *time;
}

Json gone_json(const wire::LetGone& gone, bool dry_run) {
  Json json;
  json.boolean("dry_run", dry_run)
      .number("first_segment", gone.first_segment)
      .number("kept_from", gone.kept_from)
      .number("records", gone.records)
      .number("count", gone.count)
      .number("bytes", gone.bytes)
      .text("first", gone.first)
      .text("last", gone.last)
      .text("why", gone.why)
      .number("seq", gone.seq)
      .text("sha256", gone.sha256);
  return json;
}

std::string gone_text(const wire::LetGone& gone, bool dry_run) {
  if (gone.kept_from == gone.first_segment)
    return "nothing is old enough, and nothing was changed\n" + gone.why + "\n";
  const std::uint64_t segments = gone.kept_from - gone.first_segment;
  const std::uint64_t first = gone.records - gone.count + 1;
  std::string text = dry_run ? "would go: " : "let go: ";
  text += std::to_string(segments) + (segments == 1 ? " segment" : " segments") + " from " +
          std::to_string(gone.first_segment) + " on, records " + std::to_string(first) + " to " +
          std::to_string(gone.records) + ", " + std::to_string(gone.bytes) + " bytes\n";
  if (gone.count != 0) text += "of " + gone.first + " to " + gone.last + "\n";
  text += gone.why + "\n";
  if (dry_run) return text + "keep a copy of them if anybody may ever ask\n";
  return text + "retention record " + std::to_string(gone.seq) +
         "; what is kept of them has SHA-256 " + gone.sha256 + "\n";
}

}  // namespace

Result<void> audit_retention(Context& context, const RetentionOptions& options) {
  TRY(const Clock::Wall before, before_of(options.before));
  TRY(std::string statement, read_statement(options.statement));
  if (options.dry_run && !statement.empty())
    return fail(Code::usage, "--dry-run takes no statement, so that none is used up");
  TRY(client::Client admin, context.admin());
  const wire::LetGo ask{
      .before = rfc3339(before), .dry_run = options.dry_run, .statement = std::move(statement)};
  TRY(const wire::LetGone gone, admin.call<wire::LetGone>(wire::LetGo::kType, ask, kPatience));
  context.answer(gone_json(gone, options.dry_run), gone_text(gone, options.dry_run));
  return {};
}

}  // namespace hsm::ctl

#include <filesystem>
#include <system_error>

#include "hsm_signer/audit/verify.h"
#include "hsm_signer/ctl/verbs.h"

namespace hsm::ctl {
namespace {

std::string where(const audit::Finding& finding) {
  return finding.file + (finding.line == 0 ? "" : ":" + std::to_string(finding.line));
}

Json verified_json(const audit::Verified& log, bool anchored) {
  std::vector<std::string> findings;
  for (const audit::Finding& finding : log.findings) {
    Json json;
    json.text("severity", name(finding.severity))
        .text("file", finding.file)
        .number("line", finding.line)
        .text("sentence", finding.sentence);
    findings.push_back(json.done());
  }
  Json json;
  json.boolean("ok", log.ok())
      .number("records", log.records)
      .number("let_go", log.let_go)
      .number("uncompared", log.uncompared)
      .number("allowed", log.allowed)
      .number("refused", log.refused)
      .number("gaps", log.gaps)
      .number("checkpoints", log.checkpoints)
      .number("sealed", log.sealed)
      .number("unsealed", log.unsealed)
      .text("root", hex_encode(log.root))
      .number("failures", log.failures)
      .number("warnings", log.warnings)
      .raw("findings", json_array(findings));
  if (anchored) json.number("anchors", log.anchors).number("anchored", log.anchored);
  return json;
}

std::string verified_text(const audit::Verified& log, bool anchored) {
  std::string text;
  for (const audit::Finding& finding : log.findings)
    text +=
        std::string{name(finding.severity)} + " " + where(finding) + ": " + finding.sentence + "\n";
  text += std::to_string(log.records) + " records (" +
          (log.let_go == 0 ? "" : std::to_string(log.let_go) + " let go, ") +
          std::to_string(log.allowed) + " allowed, " + std::to_string(log.refused) + " refused), " +
          std::to_string(log.checkpoints) + " checkpoints, " + std::to_string(log.gaps) +
          " lost\n" + std::to_string(log.sealed) + " sealed, " + std::to_string(log.unsealed) +
          " after the last checkpoint\n";
  if (anchored)
    text += "the anchor's " + std::to_string(log.anchors) + " notes cover the first " +
            std::to_string(log.anchored) + "\n";
  text += log.ok() ? "verified" : "NOT verified: " + std::to_string(log.failures) + " failures";
  if (log.warnings != 0) text += ", " + std::to_string(log.warnings) + " warnings";
  return text + "\n";
}

}  // namespace

Result<void> check_output(const std::string& output, const std::string& log,
                          const std::string& key) {
  std::error_code none;  // What is not there is not the same.
  if (std::filesystem::equivalent(directory_of(output), log, none))
    return fail(Code::usage, "-o must lie outside of the log's directory", output);
  if (!key.empty() && std::filesystem::equivalent(output, key, none))
    return fail(Code::usage, "-o is the key's own file", output);
  return {};
}

Result<void> audit_verify(Context& context, const VerifyOptions& options) {
  TRY(const Bytes pem, read_file(options.key, kPemLimit));
  TRY(const audit::Verified log,
      audit::verify_directory(
          options.directory, as_text(pem),
          options.allow_unsealed ? audit::WithoutSeal::passes : audit::WithoutSeal::fails,
          options.anchor));
  const bool anchored = !options.anchor.empty();
  context.answer(verified_json(log, anchored), verified_text(log, anchored));
  return audit::verdict(log);
}

}  // namespace hsm::ctl

#include "hsm_signer/policy/policy.h"

#include "hsm_signer/base/duration.h"
#include "hsm_signer/base/hash.h"
#include "hsm_signer/ctl/verbs.h"
#include "hsm_signer/policy_tools/lint.h"
#include "hsm_signer/policy_tools/simulation.h"
#include "hsm_signer/policy_tools/snapshot.h"
#include "hsm_signer/policy_tools/users.h"

namespace hsm::ctl {
namespace {

constexpr std::size_t kPolicyLimit = 1024 * 1024;  // As TomlTable::load().
constexpr std::size_t kQuestionsLimit = 64 * 1024 * 1024;

// The file that was named, else that of signer.toml.
Result<std::string> policy_path(const Context& context, const std::string& named) {
  if (!named.empty()) return named;
  TRY(const SignerConfig config, context.config());
  return config.policy;
}

// For questions on paper: users need not exist on this machine.
Result<policy::Rules> rules_on_paper(const Context& context, const std::string& named) {
  TRY(const std::string path, policy_path(context, named));
  return policy::Rules::load(path, policy::any_users(policy::system_resolver()));
}

Result<std::vector<policy::Question>> questions_of(const std::string& path) {
  TRY(const std::string text, read_input(path, kQuestionsLimit));
  return policy::read_questions(text, path == "-" ? "standard input" : path);
}

Result<Clock::Wall> start_of(const PolicyOptions& options) {
  if (options.at.empty()) return SystemClock{}.wall();
  const Result<Clock::Wall> at = parse_instant(options.at);
  if (!at) return fail(Code::usage, "--at must be a time in UTC such as 2026-12-31T23:59:59Z");
  return *at;
}

Json outcome_json(const policy::Outcome& outcome) {
  Json json;
  json.number("line", outcome.line)
      .text("what", outcome.what)
      .text("client", outcome.client)
      .text("key", outcome.key)
      .text("endpoint", outcome.endpoint)
      .number("times", outcome.times)
      .number("allowed", outcome.allowed)
      .text("verdict", outcome.verdict)
      .text("rule", outcome.rule)
      .text("sentence", outcome.sentence);
  if (!outcome.expect.empty())
    json.text("expect", outcome.expect).boolean("as_expected", outcome.as_expected());
  return json;
}

std::vector<std::string> outcome_row(const policy::Outcome& outcome) {
  std::string verdict = outcome.verdict;
  if (outcome.times != 1) verdict += " after " + std::to_string(outcome.allowed);
  if (!outcome.as_expected()) verdict += " (expected " + outcome.expect + ")";
  std::string why = outcome.what;
  if (!outcome.sentence.empty()) why.append(why.empty() ? "" : ": ").append(outcome.sentence);
  return {std::to_string(outcome.line), outcome.endpoint.empty() ? "-" : outcome.endpoint, verdict,
          outcome.rule.empty() ? "-" : outcome.rule, why};
}

Json explanation_json(const policy::Explanation& why) {
  std::vector<std::string> steps;
  for (const policy::VisitedRule& step : why.visited) {
    Json item;
    item.text("rule", step.rule)
        .text("where", step.where)
        .text("verdict", name(step.visit))
        .text("why", step.why);
    steps.push_back(item.done());
  }
  std::vector<std::string> guards;
  for (const std::string& guard : why.guards) {
    Json item;
    item.text("guard", guard);
    guards.push_back(item.done());
  }
  Json json;
  json.boolean("allowed", why.decision.allowed())
      .text("code", why.decision.allowed() ? "" : name(why.decision.code))
      .text("client", why.decision.client)
      .text("rule", why.decision.rule)
      .text("sentence", why.decision.sentence)
      .raw("steps", json_array(steps))
      .raw("guards", json_array(guards));
  return json;
}

std::string explanation_text(const policy::Explanation& why) {
  const policy::Decision& decision = why.decision;
  std::string text = decision.allowed() ? "allowed by rule \"" + decision.rule + "\"\n"
                                        : "refused: " + decision.sentence + " [" +
                                              std::string{name(decision.code)} + "]\n";
  for (const policy::VisitedRule& step : why.visited)
    text += "  " + step.where + ": rule \"" + step.rule + "\": " + std::string{name(step.visit)} +
            ", " + step.why + "\n";
  for (const std::string& guard : why.guards) text += "  guard " + guard + "\n";
  return text;
}

Result<std::vector<policy::SnapshotRow>> snapshot_of(const policy::Rules& rules,
                                                     const std::string& corpus) {
  const bool built_in = corpus.empty();
  TRY(const std::string text, built_in ? Result<std::string>{policy::built_in_corpus()}
                                       : read_input(corpus, kQuestionsLimit));
  const std::string file = built_in ? "corpus.jsonl" : corpus;
  TRY(const std::vector<policy::Question> questions, policy::read_questions(text, file));
  return policy::snapshot(rules, questions, file);
}

std::string change_text(const policy::SnapshotChange& change) {
  const auto or_nobody = [](const std::string& verdict) {
    return verdict.empty() ? "(not asked)" : verdict;
  };
  return std::string{change.loosened() ? "LOOSER  " : "tighter "} + change.after.client + ", " +
         change.after.key + ": " + change.after.what + ": " + or_nobody(change.before.verdict) +
         " -> " + or_nobody(change.after.verdict) + "\n";
}

}  // namespace

Result<void> policy_check(Context& context, const PolicyOptions& options) {
  TRY(const std::string path, policy_path(context, options.policy));
  TRY(const Bytes bytes, read_file(path, kPolicyLimit));
  TRY(const policy::Rules rules,
      policy::Rules::parse(as_text(bytes), path, policy::system_resolver()));
  const std::string digest = hex_encode(sha256(bytes));
  Json json;
  json.text("file", path)
      .number("clients", rules.clients().size())
      .number("rules", rules.rules().size())
      .number("serial", rules.serial())
      .text("sha256", digest);
  context.answer(json, path + ": " + std::to_string(rules.clients().size()) + " clients, " +
                           std::to_string(rules.rules().size()) + " rules, serial " +
                           std::to_string(rules.serial()) + ", sha256 " + digest + "\n");
  return {};
}

Result<void> policy_lint(Context& context, const PolicyOptions& options) {
  TRY(const policy::Rules rules, rules_on_paper(context, options.policy));
  std::size_t warnings = 0;
  std::string text;
  std::vector<std::string> items;
  for (const policy::LintFinding& finding : policy::lint(rules, SystemClock{}.wall())) {
    warnings += finding.weight == policy::Weight::warning ? 1U : 0U;
    text += finding.where + ": " + std::string{name(finding.weight)} + ": rule \"" + finding.rule +
            "\" " + finding.sentence + " [" + std::string{finding.check} + "]\n";
    Json item;
    item.text("check", finding.check)
        .text("weight", name(finding.weight))
        .text("where", finding.where)
        .text("rule", finding.rule)
        .text("sentence", finding.sentence);
    items.push_back(item.done());
  }
  Json json;
  json.number("warnings", warnings).raw("findings", json_array(items));
  context.answer(json, text + std::to_string(warnings) + " warnings\n");
  if (options.strict && warnings != 0)
    return fail(Code::denied, "the policy has warnings", std::to_string(warnings));
  return {};
}

Result<void> policy_simulate(Context& context, const PolicyOptions& options) {
  TRY(const policy::Rules rules, rules_on_paper(context, options.policy));
  TRY(std::vector<policy::Question> questions, questions_of(options.questions));
  TRY(const Clock::Wall start, start_of(options));
  TRY(const std::vector<policy::Outcome> outcomes,
      policy::simulate(rules, std::move(questions), options.questions, start));
  std::vector<std::vector<std::string>> rows{{"LINE", "ENDPOINT", "VERDICT", "RULE", "WHAT"}};
  std::vector<std::string> items;
  std::size_t unexpected = 0;
  for (const policy::Outcome& outcome : outcomes) {
    unexpected += outcome.as_expected() ? 0U : 1U;
    rows.push_back(outcome_row(outcome));
    items.push_back(outcome_json(outcome).done());
  }
  Json json;
  json.number("unexpected", unexpected).raw("outcomes", json_array(items));
  context.answer(json, table(rows));
  if (unexpected != 0)
    return fail(Code::denied, "not decided as the questions expect",
                std::to_string(unexpected) + " of " + std::to_string(outcomes.size()));
  return {};
}

Result<void> policy_explain(Context& context, const PolicyOptions& options) {
  TRY(const policy::Rules rules, rules_on_paper(context, options.policy));
  TRY(const std::vector<policy::Question> questions, questions_of(options.questions));
  if (questions.size() != 1)
    return fail(Code::usage, "explain answers one question",
                std::to_string(questions.size()) + " given; simulate takes many");
  TRY(const Clock::Wall start, start_of(options));
  policy::Simulation simulation{rules, start};
  TRY(const policy::Explanation why, simulation.explain(questions.front()));
  context.answer(explanation_json(why), explanation_text(why));
  return {};
}

Result<void> policy_snapshot(Context& context, const PolicyOptions& options) {
  TRY(const std::string path, policy_path(context, options.policy));
  TRY(const policy::Rules rules, policy::Rules::load(path, policy::any_users()));
  TRY(const std::vector<policy::SnapshotRow> rows, snapshot_of(rules, options.corpus));
  std::vector<std::string> items;
  for (const policy::SnapshotRow& row : rows) {
    Json item;
    item.text("client", row.client)
        .text("key", row.key)
        .text("what", row.what)
        .text("verdict", row.verdict)
        .text("rule", row.rule);
    items.push_back(item.done());
  }
  Json json;
  json.raw("decisions", json_array(items));
  context.answer(json, policy::snapshot_text(rows));
  return {};
}

Result<void> policy_diff(Context& context, const PolicyOptions& options) {
  TRY(const policy::Rules before, policy::Rules::load(options.old_policy, policy::any_users()));
  TRY(const policy::Rules after, policy::Rules::load(options.policy, policy::any_users()));
  TRY(const std::vector<policy::SnapshotRow> old_rows, snapshot_of(before, options.corpus));
  TRY(const std::vector<policy::SnapshotRow> new_rows, snapshot_of(after, options.corpus));
  std::string text;
  std::vector<std::string> items;
  std::size_t loosened = 0;
  for (const policy::SnapshotChange& change : policy::changes(old_rows, new_rows)) {
    loosened += change.loosened() ? 1U : 0U;
    text += change_text(change);
    Json item;
    item.text("client", change.after.client)
        .text("key", change.after.key)
        .text("what", change.after.what)
        .text("before", change.before.verdict)
        .text("after", change.after.verdict)
        .boolean("loosened", change.loosened());
    items.push_back(item.done());
  }
  Json json;
  json.number("loosened", loosened).raw("changes", json_array(items));
  context.answer(json, text + std::to_string(items.size()) + " decisions differ, " +
                           std::to_string(loosened) + " of them looser\n");
  return {};
}

}  // namespace hsm::ctl

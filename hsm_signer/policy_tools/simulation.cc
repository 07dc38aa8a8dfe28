#include "hsm_signer/policy_tools/simulation.h"

#include <algorithm>

namespace hsm::policy {
namespace {

KeyFacts facts_of(const AskedKey& key) {
  return {.name = key.name,
          .environment = key.environment,
          .scope = key.scope,
          .roles = key.roles,
          .state = key.state};
}

}  // namespace

Result<Who> Simulation::who_of(const Question& question) const {
  if (question.uid) return Who{.uid = *question.uid, .gid = question.gid};
  const auto& clients = rules_.clients();
  const auto found = std::find_if(clients.begin(), clients.end(), [&](const Client& client) {
    return client.name.value == question.client;
  });
  if (found == clients.end())
    return fail(Code::usage, "the policy has no such client", question.client);
  return Who{.uid = found->uid, .gid = found->gid.value_or(question.gid)};
}

Result<Scene> Simulation::scene_for(const Question& question) {
  const Clock::Wall at = question.at.value_or(start_);
  const Clock::Steady steady{at.time_since_epoch()};
  for (const auto& [symbol, price] : question.references) {
    // The same again, at the same instant, is no news.
    const Decimal* known = references_.fresh(symbol, std::chrono::seconds{0}, {at, steady});
    if (known != nullptr && *known == price) continue;
    TRY_VOID(references_.push(symbol, price, at, {at, steady}));
  }
  return Scene{.rules = rules_,
               .usage = &usage_,
               .references = &references_,
               .now = at,
               .counted = at,
               .steady = steady};
}

Result<Outcome> Simulation::ask(const Question& question) {
  TRY(const Who who, who_of(question));
  TRY(const Scene scene, scene_for(question));
  Outcome outcome{.line = question.line,
                  .what = question.what,
                  .client = question.client,
                  .key = question.key.name,
                  .times = question.times,
                  .expect = question.expect};
  const Result<venue::Payload> payload = venue::Payload::parse_request(question.payload);
  if (!payload) {
    outcome.verdict = name(payload.error().code);
    outcome.sentence = payload.error().sentence();
    return outcome;
  }
  outcome.endpoint = payload->endpoint().path;
  const KeyFacts key = facts_of(question.key);
  for (outcome.verdict = "allow"; outcome.allowed < question.times; ++outcome.allowed) {
    const Decision decision = decide(scene, who, &key, *payload);
    outcome.client = decision.client;
    outcome.rule = decision.rule;
    if (!decision.allowed()) {
      outcome.verdict = name(decision.code);
      outcome.sentence = decision.sentence;
      break;
    }
    take(scene, decision, payload->endpoint().cls);
  }
  return outcome;
}

Result<Explanation> Simulation::explain(const Question& question) {
  TRY(const Who who, who_of(question));
  TRY(const Scene scene, scene_for(question));
  TRY(const venue::Payload payload, venue::Payload::parse_request(question.payload));
  const KeyFacts key = facts_of(question.key);
  return policy::explain(scene, who, &key, payload);
}

Result<std::vector<Outcome>> simulate(const Rules& rules, std::vector<Question> questions,
                                      const std::string& file, Clock::Wall start) {
  std::stable_sort(questions.begin(), questions.end(), [&](const Question& a, const Question& b) {
    return a.at.value_or(start) < b.at.value_or(start);
  });
  Simulation simulation{rules, start};
  std::vector<Outcome> outcomes;
  for (const Question& question : questions) {
    Result<Outcome> outcome = simulation.ask(question);
    if (!outcome)
      return fail(Code::usage, {},
                  file + ":" + std::to_string(question.line) + ": " + outcome.error().sentence());
    outcomes.push_back(*std::move(outcome));
  }
  return outcomes;
}

}  // namespace hsm::policy

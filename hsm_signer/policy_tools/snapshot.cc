#include "hsm_signer/policy_tools/snapshot.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <tuple>

#include "hsm_signer/policy_tools/simulation.h"

namespace hsm::policy {
namespace {

constexpr std::size_t kVerdictWidth = 32;

std::string spelled(const KeySelector& key) {
  return key.name.value.empty() ? "env:" + std::string{name(key.environment)} : key.name.value;
}

// The keys that rules of the client allow something with, each once, in the order of the file.
std::vector<KeySelector> keys_of(const Rules& rules, const Client& client) {
  std::vector<KeySelector> keys;
  for (const std::uint32_t index : client.rules) {
    const Rule& rule = rules.rules()[index];
    const bool known = std::any_of(keys.begin(), keys.end(), [&](const KeySelector& key) {
      return spelled(key) == spelled(rule.key);
    });
    if (rule.allow.any() && !known) keys.push_back(rule.key);
  }
  return keys;
}

std::string verdict_of(const Outcome& outcome) {
  if (outcome.times == 1) return outcome.verdict;
  const std::string count = "allow " + std::to_string(outcome.allowed);
  if (outcome.verdict == "allow") return count;
  return outcome.allowed == 0 ? outcome.verdict : count + ", then " + outcome.verdict;
}

// Of "allow 10, then rate_limited"; any "allow" without a number is once.
std::uint64_t times_allowed(const SnapshotRow& row) {
  constexpr std::string_view kCounted = "allow ";
  if (!row.verdict.starts_with(kCounted)) return row.allows() ? 1 : 0;
  std::uint64_t times = 0;
  std::from_chars(row.verdict.data() + kCounted.size(), row.verdict.data() + row.verdict.size(),
                  times);
  return times;
}

std::string title_of(const Question& question, const Outcome& outcome) {
  if (!question.what.empty()) return question.what;
  return outcome.endpoint + " (line " + std::to_string(question.line) + ")";
}

}  // namespace

Clock::Wall snapshot_instant() {
  return Clock::Wall{std::chrono::sys_days{std::chrono::year{2026} / 3 / 2} +
                     std::chrono::hours{15}};
}

Result<std::vector<SnapshotRow>> snapshot(const Rules& rules, const std::vector<Question>& corpus,
                                          const std::string& file) {
  constexpr auto kAllRoles = static_cast<venue::Roles>(venue::kTrader | venue::kFundManager |
                                                       venue::kAuditor | venue::kAdministrator);
  std::vector<SnapshotRow> rows;
  for (const Client& client : rules.clients()) {
    for (const KeySelector& key : keys_of(rules, client)) {
      for (Question question : corpus) {
        question.client = client.name.value;
        question.uid.reset();
        question.key.name = spelled(key);
        question.key.environment = key.environment;
        question.key.roles = kAllRoles;
        TRY(const std::vector<Outcome> outcomes,
            simulate(rules, {question}, file, snapshot_instant()));
        rows.push_back({client.name.value, question.key.name, title_of(question, outcomes.front()),
                        verdict_of(outcomes.front()), outcomes.front().rule});
      }
    }
  }
  return rows;
}

std::string snapshot_text(const std::vector<SnapshotRow>& rows) {
  std::string text;
  const SnapshotRow* last = nullptr;
  for (const SnapshotRow& row : rows) {
    if (last == nullptr || last->client != row.client || last->key != row.key)
      text.append(last == nullptr ? "" : "\n")
          .append("client " + row.client + ", key " + row.key + "\n");
    last = &row;
    std::string line = "  " + row.verdict;
    line.resize(std::max(line.size() + 1, kVerdictWidth), ' ');
    line += row.what;
    if (!row.rule.empty()) line += "  [" + row.rule + "]";
    text.append(line).append("\n");
  }
  return text;
}

bool SnapshotChange::loosened() const { return times_allowed(after) > times_allowed(before); }

std::vector<SnapshotChange> changes(const std::vector<SnapshotRow>& before,
                                    const std::vector<SnapshotRow>& after) {
  const auto place = [](const SnapshotRow& row) { return std::tie(row.client, row.key, row.what); };
  const auto empty_like = [](SnapshotRow row) {
    row.verdict.clear();
    row.rule.clear();
    return row;
  };
  std::vector<SnapshotChange> found;
  std::map<std::tuple<std::string, std::string, std::string>, const SnapshotRow*> known;
  for (const SnapshotRow& row : before) known.emplace(place(row), &row);
  for (const SnapshotRow& row : after) {
    const auto was = known.find(place(row));
    SnapshotChange change{was == known.end() ? empty_like(row) : *was->second, row};
    if (was != known.end()) known.erase(was);
    if (change.before.verdict != row.verdict) found.push_back(std::move(change));
  }
  for (const SnapshotRow& row : before)
    if (known.contains(place(row))) found.push_back({row, empty_like(row)});
  return found;
}

}  // namespace hsm::policy

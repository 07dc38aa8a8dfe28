// What a policy decides of a fixed list of requests: a table to keep beside the policy, so that a
// diff shows what a change loosened.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/policy/rules.h"
#include "hsm_signer/policy_tools/question.h"

namespace hsm::policy {

// The requests that are asked where nobody names others: corpus.jsonl, beside this file.
std::string_view built_in_corpus();
// When they are asked: a Monday at ten in New York, three in the afternoon in London.
Clock::Wall snapshot_instant();

struct SnapshotRow {
  std::string client;
  std::string key;  // A name, or "env:production".
  std::string what;
  std::string verdict;  // "allow", "denied", "allow 10, then rate_limited"
  std::string rule;

  bool allows() const { return verdict.starts_with("allow"); }
};

// Each of `corpus`, asked by each client with each key that its rules name, alone: no window knows
// what was asked before. A key may do all that rules allow: it is active, of production where a
// rule names it, and has every role. The errors of Simulation::ask(), with `file`:line.
Result<std::vector<SnapshotRow>> snapshot(const Rules& rules, const std::vector<Question>& corpus,
                                          const std::string& file);
std::string snapshot_text(const std::vector<SnapshotRow>& rows);

struct SnapshotChange {
  SnapshotRow before;  // Its verdict is empty where nobody asked so before, of `after` where not
  SnapshotRow after;   // any more.

  // Something is signed now that was not, or more of it.
  bool loosened() const;
};
std::vector<SnapshotChange> changes(const std::vector<SnapshotRow>& before,
                                    const std::vector<SnapshotRow>& after);

}  // namespace hsm::policy

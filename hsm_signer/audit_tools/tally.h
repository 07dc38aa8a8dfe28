// What a log comes to: counts and the events that an auditor reads one by one.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hsm_signer/audit_tools/chart.h"
#include "hsm_signer/audit_tools/filter.h"

namespace hsm::audit_tools {

// Of each list of events; the rest is counted.
inline constexpr std::size_t kEventsLimit = 2000;

// Records as they were, the first kEventsLimit of them.
struct Events {
  void add(const audit::Record& record) {
    if (++count <= kEventsLimit) records.push_back(record);
  }
  std::uint64_t count = 0;
  std::vector<audit::Record> records;
};

struct Verdicts {
  std::uint64_t allowed = 0;
  std::uint64_t refused = 0;
};

// Why something was refused: code and, where one decided, rule.
using Reason = std::pair<std::string, std::string>;

struct Tally {
  std::uint64_t records = 0;
  std::uint64_t allowed = 0;
  std::uint64_t refused = 0;
  std::uint64_t lost = 0;  // MACs that gap records give up.
  std::optional<Clock::Wall> first;
  std::optional<Clock::Wall> last;

  Counts by_key;     // Signatures.
  Counts by_client;  // The same.
  Counts by_code;    // Refusals.
  std::map<std::string, Verdicts> keys, clients, classes;
  std::map<Reason, std::uint64_t> reasons;

  Events key_events;
  Events approvals;  // Admin records whose action begins with approval_ or statement_.
  Events policies;   // Starts and reloads: the policy that was in force from then on.
  Events admin;      // All other admin records.
  Events runs;       // Starts, stops, gaps, what became of tokens.
};

void add(Tally& tally, const audit::Record& record);

}  // namespace hsm::audit_tools

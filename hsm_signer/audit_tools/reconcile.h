// Compares the exchange's own history with the log: what it shows and nobody here signed means that
// the secret is used elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "hsm_signer/audit_tools/claims.h"
#include "hsm_signer/audit_tools/filter.h"
#include "hsm_signer/audit_tools/history.h"

namespace hsm::audit_tools {

struct Foreign {
  Item item;  // Of trades: the first of their order, with the amount of them all.
  std::string why;
};

// Beyond this many they are counted, not kept.
inline constexpr std::size_t kUnseenLimit = 1000;

struct Reconciled {
  std::uint64_t orders = 0;
  std::uint64_t trades = 0;
  std::uint64_t transfers = 0;
  std::uint64_t matched = 0;     // Items that a record answers for; trades by their order.
  std::uint64_t incoming = 0;    // Deposits, rewards: nobody signs those.
  std::uint64_t before_log = 0;  // From before the log's first record: it cannot know.
  std::uint64_t outside = 0;     // Outside the time that was asked for.
  std::vector<Foreign> foreign;
  std::uint64_t unseen = 0;           // Signed within the history's time, and not in it.
  std::vector<Claim> unseen_records;  // The first kUnseenLimit.

  bool ok() const { return foreign.empty(); }
};

struct ReconcileOptions {
  Filter filter{};  // Which signatures count: key, api_key_id. Its span also bounds the items.
  std::chrono::seconds skew{30};
};
// Each record answers for one item at most. As visit_records() where the log cannot be read.
Result<Reconciled> reconcile(const std::string& directory, std::vector<Item> items,
                             const ReconcileOptions& options);

}  // namespace hsm::audit_tools

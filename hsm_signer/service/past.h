// What earlier runs of hsm-signerd left in its log and its state, besides keys and windows.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "hsm_signer/audit/log.h"
#include "hsm_signer/policy/switches.h"
#include "hsm_signer/service/anchor_start.h"
#include "hsm_signer/service/mac_counts.h"
#include "hsm_signer/service/nonce_desk.h"
#include "hsm_signer/service/officers_desk.h"
#include "hsm_signer/service/policy_gate.h"
#include "hsm_signer/service/released.h"
#include "hsm_signer/state/state.h"

namespace hsm::service {

// Where state.db remembers how many records of the log were sealed.
inline constexpr std::string_view kSealedScope = "audit/sealed";

// Runs the loop until the state has answered; nothing else runs on it yet.
template <class T, class Start>
Result<T> wait_for_state(boost::asio::io_context& io, Start start) {
  auto work = boost::asio::make_work_guard(io);
  std::optional<Result<T>> answer;
  start([&](Result<T> came) { answer = std::move(came); });
  while (!answer) io.run_one();
  work.reset();
  io.restart();  // A loop that has run out of work would not run again.
  return *std::move(answer);
}

struct Past {
  NonceDesk::LoggedMarks marks;
  Released released;
  MacCounts counts;
  policy::Switches switches;
  OfficersDesk::Used used;  // Statements.
  std::vector<state::Note> approvals;
  bool approvals_void = false;
  std::vector<audit::Record> events;           // What the log is to be told of this start.
  std::optional<PolicyGate::Accepted> policy;  // That officers let in last.
  AnchorAtStart anchor;                        // Set by the start itself: open_anchor().

  // In this order: what the state has, what is kept of records that the log no longer has, each
  // record of the log, and what the state has beyond those.
  static Result<Past> of_state(boost::asio::io_context& io, state::State& state,
                               const Clock& clock);
  void resume(const audit::Retired& retired);
  void replay(const audit::Record& record);
  Result<void> read_statements(boost::asio::io_context& io, state::State& state, Clock::Wall now);
};

// An operator's word that the old log is gone and a new one is to begin. Marks of nonces stay; how
// far the log was sealed, and anchored at `anchor`, is forgotten.
Result<void> give_up_log(boost::asio::io_context& io, state::State& state, const audit::Log& log,
                         const std::string& anchor);
// A log cannot tell that its end was cut off together with its checkpoints, or that it was forged
// after they were removed: the state knows how far it was sealed. audit_unavailable where the log
// is sealed less far. The other way round the state is an old copy (it is told of each seal before
// the next one is made): marks (which it is told) and windows are the log's anyway, what officers
// had approved is void, and nothing but cancels is signed until somebody has looked
// (docs/audit.md).
Result<void> check_sealed(boost::asio::io_context& io, state::State& state, const audit::Log& log,
                          const Clock& clock, Past& past);

}  // namespace hsm::service

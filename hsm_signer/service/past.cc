#include "hsm_signer/service/past.h"

#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "hsm_signer/base/log.h"
#include "hsm_signer/service/approval_desk.h"
#include "hsm_signer/service/policy_office.h"
#include "hsm_signer/service/switch_desk.h"

namespace hsm::service {
namespace {

namespace asio = boost::asio;

Result<std::vector<state::Note>> notes_of(asio::io_context& io, state::State& state,
                                          std::string_view kind) {
  return wait_for_state<std::vector<state::Note>>(
      io, [&](state::State::Done<std::vector<state::Note>> done) {
        state.notes(std::string{kind}, std::move(done));
      });
}

}  // namespace

Result<Past> Past::of_state(asio::io_context& io, state::State& state, const Clock& clock) {
  TRY(const auto switches, notes_of(io, state, kSwitchNotes));
  TRY(const auto leases, notes_of(io, state, kLeaseNotes));
  Past past;
  TRY(past.switches, SwitchDesk::restore(switches, leases, {clock.wall(), clock.awake_or_not()}));
  return past;
}

void Past::resume(const audit::Retired& retired) {
  for (const audit::RetiredNonce& nonce : retired.nonces) {
    marks[ApiKeyId{nonce.api_key_id}] = nonce.nonce;
    released.let_go({nonce.api_key_id}, nonce.unspent);
  }
  counts.resume(retired.workers);
}

void Past::replay(const audit::Record& record) {
  if (!record.nonce.empty()) marks[ApiKeyId{record.api_key_id}] = record.nonce;
  released.replay(record);
  counts.see(record);
  used.replay(record);
}

Result<void> Past::read_statements(asio::io_context& io, state::State& state, Clock::Wall now) {
  TRY(const auto notes, notes_of(io, state, OfficersDesk::kNotes));
  TRY(const auto forgotten, notes_of(io, state, OfficersDesk::kForgotten));
  TRY_VOID(used.read(notes, forgotten, now));
  TRY(approvals, notes_of(io, state, ApprovalDesk::kNotes));
  TRY(const auto accepted, notes_of(io, state, kPolicyNotes));
  TRY(policy, PolicyGate::restore(accepted));
  return {};
}

Result<void> give_up_log(asio::io_context& io, state::State& state, const audit::Log& log,
                         const std::string& anchor) {
  if (log.recovered().records != 0)
    return fail(Code::usage, "--audit-lost is for an empty audit directory",
                "this one has " + std::to_string(log.recovered().records) + " records");
  TRY_VOID(wait_for_state<void>(io, [&](state::State::Done<void> done) {
    state.run<void>(
        [anchored = anchored_scope(anchor)](state::Store& store) -> Result<void> {
          TRY_VOID(store.forget(anchored));
          return store.forget(kSealedScope);
        },
        std::move(done));
  }));
  hsm::log(Level::warning, "audit_lost", "a new audit log begins, as --audit-lost says");
  return {};
}

namespace {

Result<Uint128> raise_sealed(asio::io_context& io, state::State& state, std::uint64_t sealed) {
  return wait_for_state<Uint128>(io, [&](state::State::Done<Uint128> done) {
    state.raise(std::string{kSealedScope}, sealed, std::move(done));
  });
}

// A log may be given up at the next start, and then the state alone has the marks.
Result<void> raise_marks(asio::io_context& io, state::State& state,
                         const NonceDesk::LoggedMarks& marks) {
  std::vector<std::pair<std::string, Uint128>> logged;
  for (const auto& [id, text] : marks) {
    TRY(const nonce::Value value, nonce::Value::parse(text));
    logged.emplace_back(nonce_scope(id), value.units);
  }
  return wait_for_state<void>(io, [&](state::State::Done<void> done) {
    state.run<void>(
        [logged = std::move(logged)](state::Store& store) -> Result<void> {
          for (const auto& [scope, units] : logged) {
            TRY(const Uint128 known, store.raise(scope, 0));
            if (known < units) TRY_VOID(store.raise(scope, units));
          }
          return {};
        },
        std::move(done));
  });
}

Result<void> distrust(asio::io_context& io, state::State& state, const std::string& detail,
                      Clock::Wall now, Past& past) {
  const Peer self{.uid = ::geteuid(), .gid = ::getegid(), .pid = ::getpid()};
  const policy::Subject everything{policy::Subject::Kind::all, {}};
  const policy::Thrown thrown{
      .what = policy::Switch::cancel_only,
      .since = Clock::Wall{std::chrono::floor<std::chrono::microseconds>(now.time_since_epoch())},
      .uid = self.uid,
      .reason = "state.db is older than the audit log"};
  // All frozen is stricter, and stays.
  if (past.switches.set(everything, thrown)) {
    TRY_VOID(wait_for_state<void>(io, [&](state::State::Done<void> done) {
      state.put_note(kSwitchNotes, everything.text(), thrown.to_text(), std::move(done));
    }));
  }
  past.approvals_void = true;
  audit::Record event = audit::Record::admin_event(self, "cancel_only", everything.text());
  event.reason = thrown.reason;
  event.detail = detail;
  past.events.push_back(std::move(event));
  hsm::log(Level::warning, "state_is_old",
           detail +
               ": an old copy was brought back. Only cancels are signed until hsm-signerctl "
               "thaw --all; compare key list and policy first (docs/audit.md)");
  return {};
}

}  // namespace

Result<void> check_sealed(asio::io_context& io, state::State& state, const audit::Log& log,
                          const Clock& clock, Past& past) {
  const std::uint64_t sealed = log.recovered().sealed;
  TRY(const Uint128 known, raise_sealed(io, state, 0));
  const auto before = static_cast<std::uint64_t>(known);
  if (before > sealed) {
    return fail(Code::audit_unavailable, "the audit log is sealed less far than it was",
                "state.db remembers " + std::to_string(before) +
                    " sealed records, the checkpoints cover " + std::to_string(sealed) +
                    "; bring back the audit directory, or move it away and begin a new one with "
                    "--audit-lost (docs/audit.md)");
  }
  // A crash between a seal and the state's note of it leaves the state one behind.
  if (before < log.recovered().sealed_before) {
    TRY_VOID(distrust(io, state,
                      "state.db remembers " + std::to_string(before) +
                          " sealed records, the log has " + std::to_string(sealed),
                      clock.wall(), past));
  }
  TRY_VOID(raise_marks(io, state, past.marks));
  // Last: whoever stops this program before here finds the same at the next start.
  TRY_VOID(raise_sealed(io, state, sealed));
  return {};
}

}  // namespace hsm::service

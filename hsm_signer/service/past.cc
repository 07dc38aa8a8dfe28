#include "hsm_signer/service/past.h"

#include <utility>

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

void Past::replay(const audit::Record& record) {
  if (!record.nonce.empty()) marks[ApiKeyId{record.api_key_id}] = record.nonce;
  released.replay(record);
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

Result<void> give_up_log(asio::io_context& io, state::State& state, const audit::Log& log) {
  if (log.recovered().records != 0)
    return fail(Code::usage, "--audit-lost is for an empty audit directory",
                "this one has " + std::to_string(log.recovered().records) + " records");
  TRY_VOID(wait_for_state<void>(io, [&](state::State::Done<void> done) {
    state.run<void>([](state::Store& store) { return store.forget(kSealedScope); },
                    std::move(done));
  }));
  hsm::log(Level::warning, "audit_lost", "a new audit log begins, as --audit-lost says");
  return {};
}

Result<void> check_sealed(asio::io_context& io, state::State& state, const audit::Log& log) {
  const std::uint64_t sealed = log.recovered().sealed;
  TRY(const Uint128 before, wait_for_state<Uint128>(io, [&](state::State::Done<Uint128> done) {
        state.raise(std::string{kSealedScope}, sealed, std::move(done));
      }));
  if (before > sealed) {
    return fail(Code::audit_unavailable, "the audit log is sealed less far than it was",
                "state.db remembers " + std::to_string(static_cast<std::uint64_t>(before)) +
                    " sealed records, the checkpoints cover " + std::to_string(sealed) +
                    "; bring back the audit directory, or move it away and begin a new one with "
                    "--audit-lost (docs/audit.md)");
  }
  if (before == 0 && sealed > 0) {
    hsm::log(Level::warning, "state_is_new",
             "the audit log has " + std::to_string(log.recovered().records) +
                 " records and state.db knows nothing of them: keys must be registered again");
  }
  return {};
}

}  // namespace hsm::service

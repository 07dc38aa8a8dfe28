#include "hsm_signer/service/switch_desk.h"

#include <utility>

#include "hsm_signer/base/log.h"

namespace hsm::service {
namespace {

using policy::Subject;
using policy::Switches;

// A frame holds some 150 of the longest.
constexpr std::size_t kSwitchesPage = 100;

// Notes and records hold microseconds: what is in force is what a restart will read.
Clock::Wall whole(Clock::Wall time) {
  return Clock::Wall{std::chrono::floor<std::chrono::microseconds>(time.time_since_epoch())};
}

Result<void> check_reason(const std::string& reason) {
  if (policy::is_reason(reason)) return {};
  return fail(Code::usage, "a reason is printable ASCII",
              "at most " + std::to_string(policy::kReasonLimit) + " characters");
}

std::string_view action_of(policy::Switch what) {
  return what == policy::Switch::frozen ? "freeze" : "cancel_only";
}

// A note of another subject, or none at all: the state was edited.
template <class T, class Take>
Result<void> read_notes(const std::vector<state::Note>& notes, Take take) {
  for (const state::Note& note : notes) {
    const Result<Subject> subject = Subject::parse(note.name);
    const Result<T> value = T::parse(note.value);
    if (!subject || !value)
      return fail(Code::state_unavailable, "a switch in the state database cannot be read",
                  "restore state.db from a backup, or use the program that wrote it");
    TRY_VOID(take(*subject, *value));
  }
  return {};
}

wire::SwitchItem item_of(const Switches::Row& row) {
  wire::SwitchItem item;
  const std::string text = row.subject.text();
  item.kind = text.substr(0, text.find(':'));
  item.name = row.subject.name;
  if (row.thrown) {
    item.what = std::string{name(row.thrown->what)};
    item.since = rfc3339(row.thrown->since);
    item.uid = row.thrown->uid;
    item.reason = row.thrown->reason;
  }
  if (row.lease) item.lease_until = rfc3339(row.lease->until);
  item.lapsed = row.lapsed;
  return item;
}

}  // namespace

Result<Switches> SwitchDesk::restore(const std::vector<state::Note>& switches,
                                     const std::vector<state::Note>& leases, Switches::Now now) {
  Switches restored;
  TRY_VOID(read_notes<policy::Thrown>(switches,
                                      [&](const Subject& subject, const policy::Thrown& thrown) {
                                        return restored.set(subject, thrown);
                                      }));
  TRY_VOID(read_notes<policy::Lease>(
      leases, [&](const Subject& subject, const policy::Lease& lease) -> Result<void> {
        restored.grant(subject, lease, now);
        return {};
      }));
  for (const Switches::Row& row : restored.rows(now))
    log(Level::warning, "switch_is_set",
        row.subject.text() + (row.thrown ? ": " + std::string{name(row.thrown->what)} : "") +
            (row.lease ? (row.lapsed ? ": lease has lapsed" : ": lease") : ""));
  return restored;
}

Result<void> SwitchDesk::check(std::string_view client, std::string_view key,
                               venue::Class cls) const {
  auto refusal = switches_.check(client, key, cls, now());
  if (!refusal) return {};
  return fail(refusal->code, "stopped by an administrator", std::move(refusal->sentence));
}

Result<Subject> SwitchDesk::known(const std::string& kind, const std::string& name) const {
  TRY(Subject subject, Subject::make(kind, name));
  // A misspelt name would leave the right one signing.
  if (subject.kind == Subject::Kind::key && parts_.registry.newest(name) == nullptr)
    return fail(Code::denied, "there is no such key; see hsm-signerctl key list");
  if (subject.kind == Subject::Kind::client && !parts_.is_client(name))
    return fail(Code::denied, "the policy has no such client");
  return subject;
}

void SwitchDesk::set(const Peer& who, const wire::SetSwitch& ask, Reply<wire::Done> reply) {
  policy::Thrown thrown{.since = whole(parts_.clock.wall()), .uid = who.uid, .reason = ask.reason};
  const auto plan = [&]() -> Result<Subject> {
    TRY_VOID(check_reason(ask.reason));
    const auto what = from_spelling(policy::kSwitches, ask.what);
    if (!what) return fail(Code::usage, "a switch is frozen or cancel_only");
    thrown.what = *what;
    TRY(Subject subject, known(ask.kind, ask.name));
    TRY_VOID(switches_.set(subject, thrown));
    return subject;
  };
  const Result<Subject> subject = plan();
  if (!subject) return reply(fail(subject.error()));
  ++changes(kSwitchNotes, *subject);
  audit::Record event = audit::Record::admin_event(who, action_of(thrown.what), subject->text());
  event.reason = ask.reason;
  record(std::move(event));
  parts_.state.put_note(kSwitchNotes, subject->text(), thrown.to_text(),
                        [reply](const Result<void>& stored) {
                          if (stored) return reply(wire::Done{});
                          Error error = stored.error();
                          error.detail += "; it is in force, and a restart would forget it";
                          reply(fail(std::move(error)));
                        });
}

Result<SwitchDesk::Lifting> SwitchDesk::plan_thaw(const Peer& who, const wire::Thaw& ask) const {
  TRY_VOID(check_reason(ask.reason));
  TRY(const Subject subject, Subject::make(ask.kind, ask.name));
  const auto row = switches_.of(subject, now());
  if (!row || !row->thrown)
    return fail(Code::denied, "no switch is set for that; see hsm-signerctl switches",
                subject.text());
  audit::Record event = audit::Record::admin_event(who, "thaw", subject.text());
  event.reason = ask.reason;
  event.detail = "was " + row->thrown->to_text();
  return Lifting{std::move(event), kSwitchNotes, subject, &Switches::lift};
}

void SwitchDesk::thaw(const Peer& who, const wire::Thaw& ask, Reply<wire::Done> reply) {
  Result<Lifting> lifting = plan_thaw(who, ask);
  if (!lifting) return reply(fail(lifting.error()));
  lift_as_stated(who, ask.statement, *std::move(lifting), std::move(reply));
}

Result<SwitchDesk::Lifting> SwitchDesk::plan_end(const Peer& who, const wire::SetLease& ask) const {
  TRY(const Subject subject, Subject::make(ask.kind, ask.name));
  const auto row = switches_.of(subject, now());
  if (!row || !row->lease)
    return fail(Code::denied, "there is no lease for that; see hsm-signerctl switches",
                subject.text());
  audit::Record event = audit::Record::admin_event(who, "lease_end", subject.text());
  event.detail = (row->lapsed ? "had lapsed: " : "was ") + row->lease->to_text();
  return Lifting{std::move(event), kLeaseNotes, subject, &Switches::end_lease};
}

void SwitchDesk::lease(const Peer& who, const wire::SetLease& ask, Reply<wire::LeaseSet> reply) {
  if (ask.seconds == 0) {
    Result<Lifting> lifting = plan_end(who, ask);
    if (!lifting) return reply(fail(lifting.error()));
    return lift_as_stated(
        who, ask.statement, *std::move(lifting), [reply](const Result<wire::Done>& done) {
          reply(done ? Result<wire::LeaseSet>{wire::LeaseSet{}} : fail(done.error()));
        });
  }
  const std::chrono::seconds length{ask.seconds};
  if (length < policy::kShortestLease || length > policy::kLongestLease)
    return reply(fail(Code::usage, "a lease is at most seven days long"));
  if (!ask.statement.empty())
    return reply(fail(Code::denied, "granting a lease needs no statement of officers"));
  const Result<Subject> subject = known(ask.kind, ask.name);
  if (!subject) return reply(fail(subject.error()));
  grant(who, *subject, length, std::move(reply));
}

// A lease that a restart would not know has not been granted: durable first.
void SwitchDesk::grant(const Peer& who, const Subject& subject, std::chrono::seconds length,
                       Reply<wire::LeaseSet> reply) {
  const Clock::Wall granted = whole(parts_.clock.wall());
  const policy::Lease lease{.granted = granted, .until = granted + length, .uid = who.uid};
  ++changes(kLeaseNotes, subject);
  parts_.state.put_note(kLeaseNotes, subject.text(), lease.to_text(),
                        [this, who, subject, lease, reply](const Result<void>& stored) {
                          if (!stored) return reply(fail(stored.error()));
                          switches_.grant(subject, lease, now());
                          audit::Record event =
                              audit::Record::admin_event(who, "lease", subject.text());
                          event.detail = "until " + rfc3339(lease.until);
                          record(std::move(event));
                          reply(wire::LeaseSet{.until = rfc3339(lease.until)});
                        });
}

// What officers state is of verb thaw, for a switch and for a lease: the same is lifted.
void SwitchDesk::lift_as_stated(const Peer& who, const std::string& statement, Lifting lifting,
                                Reply<wire::Done> reply) {
  officers::Statement expected{.verb = officers::Verb::thaw};
  const std::string subject = lifting.subject.text();
  expected.arguments.emplace("scope", subject.substr(0, subject.find(':')));
  if (!lifting.subject.name.empty()) expected.arguments.emplace("name", lifting.subject.name);
  // Before officers are heard: what is set while their word is written down is not lifted.
  const std::uint64_t seen = changes(lifting.notes, lifting.subject);
  parts_.officers.administer(
      who, statement, std::move(expected),
      [this, lifting = std::move(lifting), seen,
       reply = std::move(reply)](const Result<OfficersDesk::Stated>& stated) mutable {
        if (!stated) return reply(fail(stated.error()));
        if (const auto& officers = *stated) {
          lifting.event.statement = officers->statement.id;
          for (const std::string& name : officers->officers)
            lifting.event.officers.append(lifting.event.officers.empty() ? "" : ",").append(name);
        }
        lift(std::move(lifting), seen, std::move(reply));
      });
}

// Nothing is loosened off the record: the event is on disk before the note goes, and the note is
// gone before a request passes.
void SwitchDesk::lift(Lifting lifting, std::uint64_t seen, Reply<wire::Done> reply) {
  if (const auto trouble = parts_.ledger.blocked()) return reply(fail(*trouble));
  record(lifting.event);
  parts_.ledger.when_durable(
      [this, lifting = std::move(lifting), seen, reply](const Result<void>& durable) {
        if (!durable) return reply(fail(durable.error()));
        erase(lifting, seen, reply);
      });
}

void SwitchDesk::erase(const Lifting& lifting, std::uint64_t seen, const Reply<wire::Done>& reply) {
  const auto refuse = [this, lifting, reply](Error error) {
    audit::Record event = lifting.event;
    event.action += "_failed";
    event.detail = error.sentence();
    record(std::move(event));
    reply(fail(std::move(error)));
  };
  // Set anew meanwhile: that is not what was to be lifted.
  const auto set_anew = [this, lifting, seen] {
    return changes(lifting.notes, lifting.subject) != seen;
  };
  const Error anew{.code = Code::denied, .what = "it was set again meanwhile: nothing was lifted"};
  if (set_anew()) return refuse(anew);
  parts_.state.erase_note(
      lifting.notes, lifting.subject.text(),
      [this, lifting, reply, refuse, set_anew, anew](const Result<void>& erased) {
        if (!erased) return refuse(erased.error());
        if (set_anew()) return refuse(anew);
        (switches_.*lifting.lift)(lifting.subject);
        reply(wire::Done{});
      });
}

void SwitchDesk::record(audit::Record event) {
  log(Level::notice, "switch", event.action + " " + event.subject);
  parts_.ledger.event(std::move(event));
}

wire::SwitchList SwitchDesk::list(const wire::ListSwitches& ask) const {
  const std::vector<Switches::Row> rows = switches_.rows(now());
  wire::SwitchList list{.total = static_cast<std::uint32_t>(rows.size()), .switches = {}};
  for (std::size_t i = ask.offset; i < rows.size() && list.switches.size() < kSwitchesPage; ++i)
    list.switches.push_back(item_of(rows[i]));
  return list;
}

}  // namespace hsm::service

#include "hsm_signer/service/retention_desk.h"

#include <algorithm>
#include <utility>

#include "hsm_signer/audit/verify.h"
#include "hsm_signer/base/log.h"
#include "hsm_signer/service/policy_desk.h"

namespace hsm::service {
namespace {

// Between two tries to have the log sealed.
constexpr std::chrono::seconds kSealAgain{1};
constexpr std::size_t kRetentionKeyLimit = 16 * 1024;

struct Plan {
  audit::Cut cut;
  audit::Retired state;  // Where something goes, and is not only looked at.
};

Result<Plan> make_plan(const std::string& directory, const audit::CutQuestion& question,
                       const std::string& key, bool dry_run) {
  Plan plan;
  TRY(plan.cut, audit::plan_cut(directory, question));
  if (plan.cut.empty() || dry_run) return plan;
  TRY(const Bytes pem, read_file(key, kRetentionKeyLimit, Code::audit_unavailable));
  TRY(plan.state, audit::state_after(directory, as_text(pem), plan.cut, question.goes_on));
  return plan;
}

wire::LetGone answer_of(const audit::Cut& cut) {
  wire::LetGone gone{.first_segment = cut.first,
                     .kept_from = cut.kept_from,
                     .records = cut.records,
                     .count = cut.count,
                     .bytes = cut.bytes,
                     .first = {},
                     .last = {},
                     .why = cut.why,
                     .seq = 0,
                     .sha256 = {}};
  if (cut.count == 0) return gone;
  gone.first = rfc3339(cut.begin);
  gone.last = rfc3339(cut.end);
  return gone;
}

}  // namespace

struct RetentionDesk::Act {
  Peer who;
  wire::LetGo ask;
  Clock::Wall before;
  Reply reply;  // Empty once it was answered.
  Plan plan{};
  OfficersDesk::Stated stated{};
  std::uint64_t seq = 0;
  std::string sha256{};
};

RetentionDesk::RetentionDesk(Parts parts)
    : parts_{std::move(parts)}, again_{parts_.io}, errand_{parts_.io} {}

RetentionDesk::~RetentionDesk() { stopping_ = true; }

void RetentionDesk::let_go(const Peer& who, const wire::LetGo& ask, Reply reply) {
  const Result<Clock::Wall> before = parse_rfc3339(ask.before);
  if (!before)
    return reply(fail(Code::usage, "not a time as 2026-01-01T00:00:00.000000Z", "before"));
  const auto act = std::make_shared<Act>(
      Act{.who = who, .ask = ask, .before = *before, .reply = std::move(reply)});
  if (const auto fine = check(*act); !fine) return act->reply(fail(fine.error()));
  if (const auto heard = hear_first(*act); !heard) return act->reply(fail(heard.error()));
  busy_ = true;
  plan(act);
}

Result<void> RetentionDesk::check(const Act& act) const {
  if (act.before > parts_.clock.wall())
    return fail(Code::usage, "records that are yet to come cannot be let go",
                act.ask.before + " is in the future");
  if (busy_)
    return fail(Code::overloaded, "records are being let go already",
                "or wait for the log to be sealed; see hsm-signerctl status");
  if (const auto blocked = parts_.ledger.blocked()) return fail(*blocked);
  return {};
}

officers::Statement RetentionDesk::expected(const Act& act) const {
  return {.verb = officers::Verb::retention, .arguments = {{"before", act.ask.before}}};
}

// A statement that will not do is refused before the whole log is read.
Result<void> RetentionDesk::hear_first(const Act& act) const {
  if (act.ask.dry_run || act.ask.statement.empty() || !parts_.officers.on()) return {};
  const auto judged = parts_.officers.judge(act.ask.statement, expected(act),
                                            parts_.officers.place().administration);
  if (!judged) return fail(judged.error());
  // It will not be used where nothing is old enough, so nobody else would say so.
  if (parts_.officers.is_used(judged->statement.id))
    return fail(Code::denied, "this statement was used before", judged->statement.id);
  return {};
}

void RetentionDesk::plan(const Shared& act) {
  const std::uint64_t sealed = parts_.log.sealed().size;
  const Clock::Wall now = parts_.clock.wall();
  audit::CutQuestion question{.before = act->before,
                              .sealed = std::min(sealed, parts_.anchored().value_or(sealed)),
                              .current = parts_.log.segment()};
  question.still_counts = [now](const audit::Record& record) {
    return PolicyDesk::may_count(record, now) || OfficersDesk::Used::may_count(record, now);
  };
  question.goes_on = [this] { return !stopping_; };
  errand_.run<Plan>(
      [question, directory = parts_.log.directory(), key = parts_.audit_key,
       dry_run = act->ask.dry_run] { return make_plan(directory, question, key, dry_run); },
      [this, act](Result<Plan> plan) {
        if (!plan) return end(act, fail(std::move(plan).error()));
        act->plan = *std::move(plan);
        planned(act);
      });
}

void RetentionDesk::planned(const Shared& act) {
  if (act->ask.dry_run || act->plan.cut.empty()) return end(act, answer_of(act->plan.cut));
  parts_.officers.administer(act->who, act->ask.statement, expected(*act),
                             [this, act](const Result<OfficersDesk::Stated>& stated) {
                               if (!stated) return end(act, fail(stated.error()));
                               act->stated = *stated;
                               write(act);
                             });
}

void RetentionDesk::write(const Shared& act) {
  errand_.run<std::string>(
      [directory = parts_.log.directory(), act] {
        return audit::write_retired(directory, audit::Disk::system(), act->plan.state);
      },
      [this, act](const Result<std::string>& sha256) {
        if (!sha256) return end(act, fail(sha256.error()));
        record(act, *sha256);
      });
}

void RetentionDesk::record(const Shared& act, const std::string& sha256) {
  audit::Record event = audit::retention_record(act->who, act->plan.state, sha256, act->before);
  if (act->stated) {
    event.statement = act->stated->statement.id;
    event.officers = joined(act->stated->officers);
  }
  log(Level::notice, "audit_retention", event.subject + ", " + event.detail);
  parts_.ledger.flush();
  const std::uint64_t before = parts_.ledger.size();
  parts_.ledger.event(std::move(event));
  parts_.ledger.flush();
  act->seq = parts_.ledger.size();
  act->sha256 = sha256;
  // What no record stands for is taken back by the next start.
  if (act->seq == before)
    return end(act, fail(parts_.ledger.blocked().value_or(
                        Error{.code = Code::audit_unavailable,
                              .what = "the retention record could not be written"})));
  seal(act->seq, [this, act](bool sealed) {
    const std::uint64_t kept_from = act->plan.cut.kept_from;
    if (sealed)
      return remove(kept_from, [this, act](const Result<void>& result) { removed(act, result); });
    if (!act->reply) return;
    std::exchange(act->reply, nullptr)(
        fail(Code::token_unavailable, "the log could not be sealed, so nothing was removed yet",
             "it will be as soon as that works; the record is " + std::to_string(act->seq)));
  });
}

// Tried until it works: what was recorded is ended, if not by this run then by the next.
void RetentionDesk::seal(std::uint64_t up_to, std::function<void(bool sealed)> tried) {
  parts_.seal_now([this, up_to, tried = std::move(tried)] {
    // Its note is on disk: only then is a seal over, or the log has failed.
    const bool sealed = parts_.log.sealed().size >= up_to && !parts_.log.failure();
    tried(sealed);
    if (sealed) return;
    again_.expires_after(kSealAgain);
    again_.async_wait([this, up_to, tried](const boost::system::error_code& error) {
      if (!error) seal(up_to, tried);
    });
  });
}

void RetentionDesk::remove(std::uint64_t kept_from, std::function<void(Result<void>)> done) {
  errand_.run<void>(
      [directory = parts_.log.directory(), kept_from] {
        return audit::remove_before(directory, audit::Disk::system(), kept_from);
      },
      std::move(done));
}

void RetentionDesk::removed(const Shared& act, const Result<void>& removed) {
  if (!removed) {
    log(Level::error, "audit_retention_unfinished", removed.error().sentence());
    return end(act, fail(removed.error()));
  }
  wire::LetGone gone = answer_of(act->plan.cut);
  gone.seq = act->seq;
  gone.sha256 = act->sha256;
  log(Level::notice, "audit_retention_done",
      "kept from " + audit::segment_name(gone.kept_from) + " on");
  end(act, std::move(gone));
}

void RetentionDesk::end(const Shared& act, Result<wire::LetGone> answer) {
  busy_ = false;
  if (act->reply) act->reply(std::move(answer));
}

void RetentionDesk::start() {
  const audit::Unfinished& left = parts_.log.unfinished();
  if (left == audit::Unfinished{}) return;
  busy_ = true;
  errand_.run<void>(
      [directory = parts_.log.directory(), left] {
        return audit::remove_files(directory, audit::Disk::system(), left.undo);
      },
      [this, left](const Result<void>& undone) {
        if (!undone) log(Level::error, "audit_retention_unfinished", undone.error().sentence());
        if (undone && !left.undo.empty())
          log(Level::notice, "audit_retention_undone", "it was not recorded; nothing had gone");
        finish(left);
      });
}

void RetentionDesk::finish(const audit::Unfinished& left) {
  if (!left.removes()) {
    busy_ = false;
    return;
  }
  const auto go = [this, left](bool sealed) {
    if (!sealed) return;
    remove(left.kept_from, [this, left](const Result<void>& result) {
      busy_ = false;
      if (!result)
        return log(Level::error, "audit_retention_unfinished", result.error().sentence());
      log(Level::notice, "audit_retention_done",
          "an earlier run had begun it; kept from " + audit::segment_name(left.kept_from) + " on");
    });
  };
  if (parts_.log.sealed().size >= left.sealed) return go(true);
  seal(left.sealed, go);
}

}  // namespace hsm::service

#include "hsm_signer/service/officers_desk.h"

#include <algorithm>
#include <utility>

#include "hsm_signer/base/hash.h"
#include "hsm_signer/base/log.h"
#include "hsm_signer/base/operator_file.h"

namespace hsm::service {
namespace {

using officers::Statement;

constexpr std::string_view kAction = "statement_used";
constexpr std::string_view kGivenBack = "statement_given_back";
constexpr std::string_view kUntil = "until ";
constexpr std::string_view kForgottenUntil = "until";
constexpr std::size_t kTimeSize = 27;  // Of rfc3339().
constexpr std::size_t kSha256Size = 64;
// As long as a statement may live: what a record does not say of its expiry.

// "2026-11-25T19:00:00.000000Z 9f86…": the value of a note.
std::string note_text(Clock::Wall expires, const std::string& sha256) {
  return rfc3339(expires) + " " + sha256;
}

std::string sha256_of(const Statement& statement) {
  const auto text = statement.to_text();
  return text ? hex_encode(sha256(as_bytes(*text))) : std::string{};
}

// What it is about, for the log: "destroy desk-a.trade version=2".
std::string subject_of(const Statement& statement) {
  std::string text{name(statement.verb)};
  for (const std::string& part : {statement.key, statement.client})
    if (!part.empty()) text.append(" ").append(part);
  for (const auto& [argument, value] : statement.arguments)
    text.append(" ").append(argument).append("=").append(value);
  return text;
}

}  // namespace

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text.append(text.empty() ? "" : ",").append(name);
  return text;
}

std::string people(const officers::Need& need) {
  return std::to_string(need.officers) + (need.officers == 1 ? " officer" : " distinct officers") +
         " of group \"" + need.group + "\"";
}

Result<std::optional<OfficersDesk::Place>> OfficersDesk::place_of(const SignerConfig& config) {
  if (!config.officers) return std::optional<Place>{};
  const FileOwner owner =
      config.mode == SignerConfig::Mode::development ? FileOwner::root_or_self : FileOwner::root;
  TRY(const Bytes bytes, read_operator_file(config.officers->file, owner));
  Place place;
  TRY(place.officers, officers::AllowedOfficers::parse(as_text(bytes), config.officers->file));
  TRY(place.host, host_name());
  TRY_VOID(officers::check_host(place.host));
  place.administration = {config.officers->group, config.officers->need};
  const auto able = std::count_if(
      place.officers.all().begin(), place.officers.all().end(),
      [&](const officers::Officer& officer) { return officer.is_in(config.officers->group); });
  if (able < static_cast<std::ptrdiff_t>(config.officers->need))
    return fail(Code::usage, "[officers] needs more officers than there are",
                config.officers->file + " has " + std::to_string(able) + " in group \"" +
                    config.officers->group + "\", need is " +
                    std::to_string(config.officers->need));
  return std::optional<Place>{std::move(place)};
}

namespace {

Clock::Wall expiry_of(const audit::Record& use) {
  if (use.detail.starts_with(kUntil))
    if (const auto until = parse_rfc3339(std::string_view{use.detail}.substr(kUntil.size())))
      return *until;
  return use.time + officers::kLongestLife;
}

}  // namespace

void OfficersDesk::Used::replay(const audit::Record& record) {
  if (record.kind != audit::Kind::admin) return;
  if (record.action == kGivenBack) used_.erase(record.statement);
  if (record.action != kAction) return;
  used_.insert_or_assign(record.statement,
                         Use{.expires = expiry_of(record), .sha256 = record.text_sha256});
}

bool OfficersDesk::Used::may_count(const audit::Record& record, Clock::Wall now) {
  return record.kind == audit::Kind::admin && record.action == kAction && expiry_of(record) > now;
}

Result<void> OfficersDesk::Used::read(const std::vector<state::Note>& used,
                                      const std::vector<state::Note>& forgotten, Clock::Wall now) {
  const auto damaged = [] {
    return fail(Code::state_unavailable, "a note of a used statement is damaged",
                "state.db was edited or restored in part");
  };
  for (const state::Note& note : used) {
    if (note.value.size() != kTimeSize + 1 + kSha256Size) return damaged();
    const auto expires = parse_rfc3339(std::string_view{note.value}.substr(0, kTimeSize));
    if (!expires) return damaged();
    used_.insert_or_assign(note.name, Use{*expires, note.value.substr(kTimeSize + 1)});
  }
  for (const state::Note& note : forgotten) {
    const auto until = parse_rfc3339(note.value);
    if (!until) return damaged();
    forgotten_until_ = std::max(forgotten_until_, *until);
  }
  // Of the log, years of them: what is over is refused for that.
  std::erase_if(used_, [&](const auto& entry) {
    if (entry.second.expires > now) return false;
    forgotten_until_ = std::max(forgotten_until_, entry.second.expires);
    return true;
  });
  return {};
}

OfficersDesk::OfficersDesk(Parts parts, std::optional<Place> place, Used used)
    : parts_{parts}, place_{std::move(place)} {
  officers::UsedStatements::Expiries expiries;
  for (auto& [id, use] : used.used_) {
    expiries.emplace(id, use.expires);
    texts_.emplace(id, std::move(use.sha256));
  }
  used_ = officers::UsedStatements{{}, std::move(expiries), used.forgotten_until_};
}

std::string OfficersDesk::posture() const {
  if (!place_) return "administrative statements are not demanded";
  return "administration needs statements of " + people(place_->administration);
}

void OfficersDesk::administer(const Peer& who, const std::string& bundle, Statement expected,
                              Done done, Times times) {
  if (!place_ && bundle.empty()) return done(Stated{});
  if (!place_)
    return done(fail(Code::denied, "an officers' statement that nobody would look at",
                     "signer.toml has no [officers]; leave it out"));
  if (bundle.empty())
    return done(fail(Code::approval_required, "officers have to state this first",
                     "a statement of \"" + subject_of(expected) + "\" by " +
                         people(place_->administration) +
                         "; hsm-signerctl statement make writes it, statement sign signs it, "
                         "--statement FILE gives it along"));
  auto stated = judge(bundle, std::move(expected), place_->administration);
  if (!stated) return done(fail(stated.error()));
  use(who, *std::move(stated), std::move(done), times);
}

Result<officers::Stated> OfficersDesk::judge(const std::string& bundle, Statement expected,
                                             const officers::Need& need) const {
  if (!place_) return fail(Code::denied, "signer.toml has no [officers]");
  TRY(auto stated, officers::judge(bundle, place_->officers, need, parts_.clock.wall()));
  expected.host = place_->host;
  TRY_VOID(officers::check_says(stated.statement, expected));
  return stated;
}

// `already`: counted in an earlier step.
Result<void> OfficersDesk::count(const Statement& statement, const std::string& sha256, Times times,
                                 bool& already) {
  const auto known = texts_.find(statement.id);
  already = times == Times::each_step && known != texts_.end() && known->second == sha256 &&
            is_used(statement.id);
  if (already) return {};
  TRY_VOID(used_.use(statement.id, statement.expires, parts_.clock.wall()));
  std::erase_if(texts_, [this](const auto& text) { return !is_used(text.first); });
  texts_.insert_or_assign(statement.id, sha256);
  return {};
}

// In memory at once, so that nobody else can use it meanwhile; durable before anybody acts. Where
// the state cannot be written nobody has acted, and after a restart it may count.
void OfficersDesk::use(const Peer& who, officers::Stated stated, Done done, Times times) {
  const std::string sha256 = sha256_of(stated.statement);
  bool already = false;
  const officers::UsedStatements::Expiries before = used_.used();
  if (const auto counted = count(stated.statement, sha256, times, already); !counted)
    return done(fail(counted.error()));
  if (already) return done(Stated{std::move(stated)});
  std::vector<std::string> forgotten;
  for (const auto& [id, expires] : before)
    if (!is_used(id)) forgotten.push_back(id);
  // Before `stated` moves into the second of the two functions.
  std::string id = stated.statement.id;
  std::string value = note_text(stated.statement.expires, sha256);
  parts_.state.run<void>(
      [id = std::move(id), value = std::move(value), until = rfc3339(used_.forgotten_until()),
       forgotten = std::move(forgotten)](state::Store& store) -> Result<void> {
        // In this order: a crash anywhere in between forgets nothing that may still count.
        if (!forgotten.empty()) TRY_VOID(store.put_note(kForgotten, kForgottenUntil, until));
        TRY_VOID(store.put_note(kNotes, id, value));
        for (const std::string& old : forgotten) TRY_VOID(store.erase_note(kNotes, old));
        return {};
      },
      [this, who, sha256, stated = std::move(stated), done](const Result<void>& noted) {
        if (!noted) return done(fail(noted.error()));
        record(who, stated, sha256);
        done(Stated{stated});
      });
}

void OfficersDesk::give_back(const Peer& who, const std::string& id,
                             std::function<void(Result<void>)> done) {
  used_.give_back(id);
  texts_.erase(id);
  audit::Record back = audit::Record::admin_event(who, kGivenBack, "approve");
  back.statement = id;
  parts_.ledger.event(std::move(back));
  parts_.state.erase_note(std::string{kNotes}, id, std::move(done));
}

void OfficersDesk::record(const Peer& who, const officers::Stated& stated,
                          const std::string& sha256) {
  const Statement& statement = stated.statement;
  audit::Record used = audit::Record::admin_event(who, kAction, subject_of(statement));
  used.statement = statement.id;
  used.officers = joined(stated.officers);
  used.text_sha256 = sha256;
  used.detail = std::string{kUntil} + rfc3339(statement.expires);
  log(Level::notice, kAction,
      used.subject + ", statement " + used.statement + " of " + used.officers);
  parts_.ledger.event(std::move(used));
}

}  // namespace hsm::service

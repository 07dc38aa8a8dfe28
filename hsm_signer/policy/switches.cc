#include "hsm_signer/policy/switches.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "hsm_signer/base/ids.h"

namespace hsm::policy {
namespace {

using Kind = Subject::Kind;

constexpr std::array kKinds{Spelling<Kind>{Kind::client, "client"},
                            Spelling<Kind>{Kind::key, "key"}, Spelling<Kind>{Kind::all, "all"}};

// Takes the word before the next space, or the rest.
std::string_view word(std::string_view& rest) {
  const std::size_t space = std::min(rest.find(' '), rest.size());
  const std::string_view taken = rest.substr(0, space);
  rest.remove_prefix(std::min(space + 1, rest.size()));
  return taken;
}

Result<uid_t> uid_of(std::string_view text) {
  uid_t uid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), uid);
  if (error != std::errc{} || end != text.data() + text.size())
    return fail(Code::state_unavailable, "not a uid");
  return uid;
}

auto unreadable(std::string_view what) {
  return fail(Code::state_unavailable, what, "it was not written by this program");
}

bool passes(Switch what, venue::Class cls) {
  if (what == Switch::frozen) return false;
  return cls == venue::Class::cancel || cls == venue::Class::read || cls == venue::Class::session;
}

std::string whom(Kind kind, std::string_view name) {
  if (kind == Kind::all) return "every key";
  return std::string{spelled(kKinds, kind)}.append(" \"").append(name).append("\"");
}

std::string sentence(std::string who, const Thrown& thrown) {
  std::string said =
      std::move(who) + (thrown.what == Switch::frozen ? " is frozen" : " only cancels");
  return thrown.reason.empty() ? said : said + ": " + thrown.reason;
}

}  // namespace

Result<Subject> Subject::make(std::string_view kind, std::string_view name) {
  const auto known = from_spelling(kKinds, kind);
  if (!known) return fail(Code::usage, "a switch is for a client, a key or all");
  if (*known == Kind::all && !name.empty()) return fail(Code::usage, "\"all\" has no name");
  if (*known != Kind::all && !is_name(name))
    return fail(Code::usage, "a name must match [a-z0-9][a-z0-9._-]{0,31}");
  return Subject{.kind = *known, .name = std::string{name}};
}

std::string Subject::text() const {
  if (kind == Kind::all) return "all";
  return std::string{spelled(kKinds, kind)}.append(":").append(name);
}

Result<Subject> Subject::parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return make(text, {});
  TRY(Subject subject, make(text.substr(0, colon), text.substr(colon + 1)));
  if (subject.kind == Kind::all) return fail(Code::usage, "\"all\" has no name");
  return subject;
}

bool is_reason(std::string_view text) {
  return text.size() <= kReasonLimit &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

std::string Thrown::to_text() const {
  return std::string{name(what)} + " " + rfc3339(since) + " " + std::to_string(uid) + " " + reason;
}

Result<Thrown> Thrown::parse(std::string_view text) {
  std::string_view rest = text;
  const auto what = from_spelling(kSwitches, word(rest));
  const auto since = parse_rfc3339(word(rest));
  const auto uid = uid_of(word(rest));
  if (!what || !since || !uid || !is_reason(rest)) return unreadable("a switch cannot be read");
  Thrown thrown{.what = *what, .since = *since, .uid = *uid, .reason = std::string{rest}};
  if (thrown.to_text() != text) return unreadable("a switch cannot be read");
  return thrown;
}

std::string Lease::to_text() const {
  return rfc3339(granted) + " " + rfc3339(until) + " " + std::to_string(uid);
}

Result<Lease> Lease::parse(std::string_view text) {
  std::string_view rest = text;
  const auto granted = parse_rfc3339(word(rest));
  const auto until = parse_rfc3339(word(rest));
  const auto uid = uid_of(rest);
  if (!granted || !until || !uid || *until < *granted) return unreadable("a lease cannot be read");
  const Lease lease{.granted = *granted, .until = *until, .uid = *uid};
  if (lease.to_text() != text) return unreadable("a lease cannot be read");
  return lease;
}

Result<void> Switches::set(const Subject& subject, Thrown thrown) {
  std::optional<Thrown>& before = of(subject.kind)[subject.name].thrown;
  if (before && before->what > thrown.what)
    return fail(Code::denied, "it is frozen, and cancel-only would loosen that",
                "thaw " + subject.text() + " first");
  before = std::move(thrown);
  return {};
}

void Switches::lift(const Subject& subject) {
  const auto found = of(subject.kind).find(subject.name);
  if (found == of(subject.kind).end()) return;
  found->second.thrown.reset();
  forget_if_empty(subject);
}

void Switches::grant(const Subject& subject, const Lease& lease, Now now) {
  Entry& entry = of(subject.kind)[subject.name];
  entry.lease = lease;
  // A clock that stands before the grant was set back since: it may not stretch what was granted.
  entry.lapses = now.awake_or_not + std::min(lease.until - now.wall, lease.until - lease.granted);
}

void Switches::end_lease(const Subject& subject) {
  const auto found = of(subject.kind).find(subject.name);
  if (found == of(subject.kind).end()) return;
  found->second.lease.reset();
  forget_if_empty(subject);
}

void Switches::forget_if_empty(const Subject& subject) {
  const auto found = of(subject.kind).find(subject.name);
  if (!found->second.thrown && !found->second.lease) of(subject.kind).erase(found);
}

bool Switches::lapsed(const Entry& entry, Now now) {
  return entry.lease && (now.wall >= entry.lease->until || now.awake_or_not >= entry.lapses);
}

std::optional<Switches::Refusal> Switches::check(std::string_view client, std::string_view key,
                                                 venue::Class cls, Now now) const {
  // Strictness, from the loosest; what is found at one is spoken by the first of client, key, all.
  enum Rank : std::uint8_t { nothing, cancel_only, lapsed_lease, frozen };
  Rank strictest = nothing;
  Refusal refusal{};
  const auto consider = [&](Rank rank, Code code, auto say) {
    if (rank <= strictest) return;
    strictest = rank;
    refusal = {.code = code, .sentence = say()};
  };
  for (const auto& [kind, called] : {std::pair{Kind::client, client}, std::pair{Kind::key, key},
                                     std::pair{Kind::all, std::string_view{}}}) {
    const auto found = of(kind).find(called);
    if (found == of(kind).end()) continue;
    const Entry& entry = found->second;
    const auto who = [kind = kind, called = called] { return whom(kind, called); };
    if (entry.thrown && !passes(entry.thrown->what, cls)) {
      const bool all = entry.thrown->what == Switch::frozen;
      consider(all ? frozen : cancel_only, all ? Code::frozen : Code::cancel_only,
               [&] { return sentence(who(), *entry.thrown); });
    }
    if (cls != venue::Class::cancel && lapsed(entry, now))
      consider(lapsed_lease, Code::cancel_only, [&] {
        return "the lease of " + who() + " has lapsed: it only cancels until it is renewed";
      });
  }
  if (strictest == nothing) return std::nullopt;
  return refusal;
}

Switches::Row Switches::row(const Subject& subject, const Entry& entry, Now now) {
  return {.subject = subject,
          .thrown = entry.thrown,
          .lease = entry.lease,
          .lapsed = lapsed(entry, now)};
}

std::optional<Switches::Row> Switches::of(const Subject& subject, Now now) const {
  const auto found = of(subject.kind).find(subject.name);
  if (found == of(subject.kind).end()) return std::nullopt;
  return row(subject, found->second, now);
}

std::vector<Switches::Row> Switches::rows(Now now) const {
  std::vector<Row> all;
  for (const auto& [kind, spelling] : kKinds) {
    for (const auto& [called, entry] : of(kind)) all.push_back(row({kind, called}, entry, now));
  }
  return all;
}

}  // namespace hsm::policy

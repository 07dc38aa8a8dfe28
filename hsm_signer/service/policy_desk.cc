#include "hsm_signer/service/policy_desk.h"

#include <algorithm>

#include "hsm_signer/policy/succession.h"

namespace hsm::service {
namespace {

constexpr std::chrono::hours kLongestWindow{31 * 24};

constexpr std::chrono::hours kFarAhead{1};  // More than References takes.

constexpr std::string_view kAsset = "window_asset";
constexpr std::string_view kAmount = "window_amount";
constexpr std::string_view kCurrency = "window_currency";
constexpr std::string_view kNotional = "window_notional";

std::string field(const audit::Record& record, std::string_view name) {
  const auto found = std::find_if(record.fields.begin(), record.fields.end(),
                                  [&](const audit::Field& one) { return one.name == name; });
  return found == record.fields.end() ? std::string{} : found->value;
}

Decimal decimal_field(const audit::Record& record, std::string_view name) {
  const Result<Decimal> value = Decimal::parse_plain(field(record, name));
  return value ? *value : Decimal{};
}

}  // namespace

void add_charge(const policy::Decision& decision, audit::Record& record) {
  const policy::Charge& charge = decision.charge;
  if (decision.granted == nullptr || decision.granted->conditions.windows.empty()) return;
  if (!charge.asset.empty()) {
    record.fields.push_back({std::string{kAsset}, charge.asset});
    record.fields.push_back({std::string{kAmount}, charge.amount.text()});
  }
  if (!charge.currency.empty()) {
    record.fields.push_back({std::string{kCurrency}, charge.currency});
    record.fields.push_back({std::string{kNotional}, charge.notional.text()});
  }
}

PolicyDesk::PolicyDesk(const Clock& clock, std::shared_ptr<const policy::Rules> rules)
    : clock_{clock}, rules_{std::move(rules)} {}

void PolicyDesk::replay(const audit::Record& record) {
  if (!last_) counted_ = record.time;
  if (last_ && record.time > *last_) counted_ += record.time - *last_;
  last_ = record.time;
  if (!may_count(record, clock_.wall())) return;
  const policy::Charge charge{.key = record.key,
                              .asset = field(record, kAsset),
                              .amount = decimal_field(record, kAmount),
                              .currency = field(record, kCurrency),
                              .notional = decimal_field(record, kNotional)};
  usage_.replay(*rules_, record.rule, record.client, charge, counted_);
}

bool PolicyDesk::may_count(const audit::Record& record, Clock::Wall now) {
  const bool allowed = record.kind == audit::Kind::sign && record.verdict == audit::Verdict::allow;
  venue::Class cls{};
  return allowed && venue::class_from_name(record.endpoint_class, cls) && policy::commits(cls) &&
         record.time + kLongestWindow >= now;
}

Clock::Wall PolicyDesk::counted() {
  const Clock::Steady now = clock_.awake_or_not();
  if (!since_) {
    const Clock::Wall wall = clock_.wall();
    if (!last_) counted_ = wall;
    if (last_ && wall > *last_) counted_ += wall - *last_;
    since_ = now;
  }
  return counted_ + (now - *since_);
}

policy::Scene PolicyDesk::scene(std::string_view approved_rule) {
  return {.rules = *rules_,
          .usage = &usage_,
          .references = &references_,
          .now = clock_.wall(),
          .counted = counted(),
          .steady = clock_.steady(),
          .approved_rule = approved_rule};
}

std::vector<std::string> PolicyDesk::replace(std::shared_ptr<const policy::Rules> rules) {
  std::vector<std::string> begun = policy::windows_begun(*rules_, *rules);
  usage_.follow(*rules_, *rules);
  rules_ = std::move(rules);
  return begun;
}

Clock::Wall PolicyDesk::take(const policy::Decision& decision, venue::Class cls) {
  const policy::Scene now = scene();
  policy::take(now, decision, cls);
  return now.counted;
}

void PolicyDesk::give_back(const policy::Rules& rules, const policy::Decision& decision,
                           venue::Class cls, Clock::Wall at) {
  if (decision.granted != nullptr && policy::commits(cls))
    usage_.give_back(rules, *decision.granted, decision.charge, at);
}

Result<void> PolicyDesk::may_push_skew(const policy::Who& who) const {
  const policy::Client* client = rules_->client_of(who.uid, who.gid);
  if (client != nullptr && client->push_skew) return {};
  return fail(Code::denied, "this client may not say what the exchange's clock shows",
              "push_skew = true in its [[client]] allows it");
}

Result<void> PolicyDesk::push_reference(const policy::Who& who, const wire::PushReference& ask) {
  const policy::Client* client = rules_->client_of(who.uid, who.gid);
  if (client == nullptr || !client->push_reference)
    return fail(Code::denied, "this client may not push reference prices",
                "push_reference = true in its [[client]] allows it");
  TRY(const Decimal price, Decimal::parse_plain(ask.price));
  const Clock::Wall now = clock_.wall();
  // In microseconds first: the latest that a u64 can say is beyond what a Wall holds.
  const auto latest = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count());
  const auto ahead = static_cast<std::uint64_t>(std::chrono::microseconds{kFarAhead}.count());
  const std::uint64_t said = std::min(ask.time_us, latest + ahead);
  const Clock::Wall time = said == 0 ? now : Clock::Wall{std::chrono::microseconds{said}};
  return references_.push(ask.symbol, price, time, {now, clock_.steady()});
}

}  // namespace hsm::service

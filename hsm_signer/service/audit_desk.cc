#include "hsm_signer/service/audit_desk.h"

#include <utility>

#include "hsm_signer/base/log.h"

namespace hsm::service {
namespace {

constexpr std::chrono::minutes kEvery{1};
constexpr std::size_t kMostVisitors = 256;  // Who is forgotten is recorded again: a line too many.

bool is_remark(std::string_view text) {
  return text.size() <= audit::kRemarkLimit && audit::is_printable(text);
}

}  // namespace

void AuditDesk::came(const Peer& who, bool admitted) {
  const Clock::Steady now = clock_.steady();
  if (visits_.size() >= kMostVisitors) visits_.clear();
  const auto [visits, first] = visits_.try_emplace({who.uid, admitted}, Visits{now});
  if (!first && now - visits->second.recorded < kEvery) {
    ++visits->second.since;
    return;
  }
  audit::Record event =
      audit::Record::admin_event(who, admitted ? "login" : "login_refused", "admin socket");
  if (visits->second.since != 0)
    event.detail = std::to_string(visits->second.since) + " more since the last such record";
  visits->second = {now};
  ledger_.event(std::move(event));
}

void AuditDesk::alarm(const Peer& who, const wire::RaiseAlarm& ask,
                      std::function<void(Result<wire::Done>)> reply) {
  if (ask.subject.empty() || !is_remark(ask.subject) || !is_remark(ask.detail))
    return reply(fail(Code::usage, "an alarm is printable text",
                      "at most " + std::to_string(audit::kRemarkLimit) + " bytes"));
  audit::Record event = audit::Record::admin_event(who, "alarm", ask.subject);
  event.detail = ask.detail;
  log(Level::error, "alarm", ask.subject + ": " + ask.detail);
  ledger_.event(std::move(event));
  ledger_.when_durable([reply = std::move(reply)](const Result<void>& durable) {
    reply(durable ? Result<wire::Done>{wire::Done{}} : fail(durable.error()));
  });
}

}  // namespace hsm::service

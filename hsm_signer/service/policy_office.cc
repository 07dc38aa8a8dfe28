#include "hsm_signer/service/policy_office.h"

#include <unistd.h>

#include <algorithm>

#include "hsm_signer/base/log.h"

namespace hsm::service {
namespace {

// As many as fit an answer; the count says how many there are.
constexpr std::size_t kMostToldWindows = 100;

Peer myself() { return {.uid = ::geteuid(), .gid = ::getegid(), .pid = ::getpid()}; }

std::string counts_of(const wire::PolicyInForce& now) {
  return "serial " + std::to_string(now.serial) + ", " + std::to_string(now.clients) +
         " clients, " + std::to_string(now.rules) + " rules, " + std::to_string(now.begun) +
         " windows may lack what was signed before";
}

}  // namespace

void PolicyOffice::record(const Peer& who, const PolicyGate::Passed& passed, std::string detail) {
  audit::Record event = audit::Record::admin_event(who, "reload", "policy");
  event.text_sha256 = sha256_;
  event.statement = passed.statement;
  event.officers = passed.officers;
  event.detail = std::move(detail);
  parts_.ledger.event(std::move(event));
}

void PolicyOffice::put_in_force(const PolicyFile& file, const Peer& who,
                                const PolicyGate::Passed& passed, const Reply& reply) {
  const std::shared_ptr<const policy::Rules> old = parts_.desk.rules();
  const std::vector<std::string> begun = parts_.desk.replace(file.rules);
  wire::PolicyInForce now{.old_sha256 = sha256_,
                          .sha256 = file.sha256,
                          .old_serial = old->serial(),
                          .serial = file.rules->serial(),
                          .clients = static_cast<std::uint32_t>(file.rules->clients().size()),
                          .rules = static_cast<std::uint32_t>(file.rules->rules().size()),
                          .begun = static_cast<std::uint32_t>(begun.size()),
                          .windows = {}};
  for (std::size_t i = 0; i < std::min(begun.size(), kMostToldWindows); ++i)
    now.windows.push_back({begun[i]});
  sha256_ = file.sha256;
  record(who, passed, counts_of(now));
  log(Level::notice, "policy_reloaded", "sha256 " + now.sha256 + ", " + counts_of(now));
  parts_.ledger.when_durable([now = std::move(now), reply](const Result<void>& recorded) {
    if (!recorded) return reply(fail(recorded.error()));
    reply(now);
  });
}

void PolicyOffice::pass(const PolicyFile& file, const Peer& who, const wire::ReloadPolicy& ask,
                        const Reply& reply) {
  passing_ = true;
  parts_.gate.pass(who, file, ask.statement,
                   [this, file, who, reply](const Result<PolicyGate::Passed>& passed) {
                     passing_ = false;
                     if (!passed) return reply(fail(passed.error()));
                     put_in_force(file, who, *passed, reply);
                   });
}

void PolicyOffice::reload(const Peer& who, const wire::ReloadPolicy& ask, const Reply& reply) {
  const Reply told = [reply](const Result<wire::PolicyInForce>& now) {
    if (!now) log(Level::warning, "policy_not_reloaded", now.error().sentence());
    reply(now);
  };
  if (passing_) return told(fail(Code::overloaded, "another policy is about to come into force"));
  // By other rules nothing may be signed that no record could explain.
  if (const auto blocked = parts_.ledger.blocked()) return told(fail(*blocked));
  const Result<PolicyFile> file = PolicyFile::load(path_, parts_.users);
  if (!file) return told(fail(file.error()));
  pass(*file, who, ask, told);
}

void PolicyOffice::reload_and_log() {
  reload(myself(), {}, [](const Result<wire::PolicyInForce>&) {});
}

}  // namespace hsm::service

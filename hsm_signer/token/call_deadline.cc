#include "hsm_signer/token/call_deadline.h"

#include <csignal>
#include <cstdlib>
#include <utility>

#include "hsm_signer/base/log.h"
#include "hsm_signer/base/os.h"

namespace hsm::token {

Result<KillTimer> KillTimer::create(Limits limits) {
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGKILL;  // Nothing a module blocks or handles can hold this one up.
  timer_t timer{};
  if (::timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
    return fail(os_error(Code::internal, "cannot create the call timer", "timer_create"));
  return KillTimer{timer, limits};
}

KillTimer::KillTimer(KillTimer&& other) noexcept
    : timer_{other.timer_}, limits_{other.limits_}, owned_{std::exchange(other.owned_, false)} {}

KillTimer::~KillTimer() {
  if (owned_) ::timer_delete(timer_);
}

void KillTimer::set(std::chrono::milliseconds in) const {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(in);
  itimerspec when{};
  when.it_value.tv_sec = seconds.count();
  when.it_value.tv_nsec = std::chrono::nanoseconds{in - seconds}.count();
  if (::timer_settime(timer_, 0, &when, nullptr) == 0) return;
  // A worker without its timer could hang for ever: rather none.
  log(Level::error, "call_timer_lost", "timer_settime failed");
  std::abort();
}

}  // namespace hsm::token

#include "hsm_signer/token/fleet.h"

#include <algorithm>

namespace hsm::token {
namespace {

using namespace std::chrono_literals;
constexpr std::chrono::milliseconds kFirstPause = 250ms;
constexpr std::chrono::milliseconds kLongestPause = 30s;
constexpr unsigned kDoublings = 7;

}  // namespace

Fleet::Fleet(std::size_t signing_workers, std::chrono::milliseconds restart_delay)
    : slots_(signing_workers + 1), restart_delay_{restart_delay} {}

bool Fleet::startable(Slot slot) const {
  return slots_[slot].state == State::waiting && (slot == kAdmin || admin_was_ready_);
}

std::optional<Fleet::Slot> Fleet::next(Clock::Steady now) const {
  if (latched()) return std::nullopt;
  for (const Worker& worker : slots_) {
    if (worker.state == State::starting) return std::nullopt;
  }
  for (Slot slot = 0; slot < slots_.size(); ++slot) {
    if (startable(slot) && slots_[slot].not_before <= now) return slot;
  }
  return std::nullopt;
}

std::optional<Clock::Steady> Fleet::wake_at() const {
  std::optional<Clock::Steady> earliest;
  if (latched()) return earliest;
  for (Slot slot = 0; slot < slots_.size(); ++slot) {
    if (slots_[slot].state == State::starting) return std::nullopt;
    if (startable(slot) && (!earliest || slots_[slot].not_before < *earliest))
      earliest = slots_[slot].not_before;
  }
  return earliest;
}

void Fleet::started(Slot slot) { slots_[slot].state = State::starting; }

void Fleet::ready(Slot slot) {
  slots_[slot].state = State::ready;
  admin_was_ready_ |= slot == kAdmin;
  if (!latched()) sentence_.clear();
}

void Fleet::failed(Slot, std::string sentence) {
  if (!latched()) sentence_ = std::move(sentence);
}

void Fleet::pin_refused(Slot, std::string sentence) {
  latched_ = "the token refused the PIN; correct it and restart hsm-tokend";
  sentence_ = std::move(sentence);
}

void Fleet::taken_out(std::string sentence) {
  latched_ = "the token signs wrongly and is out of service; find out why, then restart hsm-tokend";
  sentence_ = std::move(sentence);
}

void Fleet::ended(Slot slot, Ending ending, Clock::Steady now) {
  Worker& worker = slots_[slot];
  worker.state = State::waiting;
  worker.not_before = now;
  if (ending == Ending::served) {
    worker.failures = 0;
    return;
  }
  const auto pause =
      std::min(kLongestPause, kFirstPause * (1U << std::min(worker.failures, kDoublings)));
  const auto least = ending == Ending::died ? restart_delay_ : std::chrono::milliseconds{0};
  worker.not_before += std::max<std::chrono::milliseconds>(pause, least);
  ++worker.failures;
  if (sentence_.empty()) sentence_ = "a worker of the token host died";
}

bool Fleet::all_ready() const {
  return std::all_of(slots_.begin(), slots_.end(),
                     [](const Worker& w) { return w.state == State::ready; });
}

std::optional<Error> Fleet::refusal(Role which) const {
  if (sentence_.empty()) return std::nullopt;
  for (Slot slot = 0; slot < slots_.size(); ++slot) {
    if (role(slot) == which && slots_[slot].state != State::waiting) return std::nullopt;
  }
  return Error{.code = Code::token_unavailable,
               .what = latched() ? latched_ : "the token host has no worker ready",
               .detail = sentence_};
}

}  // namespace hsm::token

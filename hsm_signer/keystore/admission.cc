#include "hsm_signer/keystore/admission.h"

#include <algorithm>
#include <numeric>

namespace hsm::keystore {
namespace {

constexpr std::uint32_t kMostRetryMs = 5000;
// Of the moving average over the time between answers.
constexpr int kWeight = 8;

std::size_t index(Room room) { return static_cast<std::size_t>(room); }

}  // namespace

Admission::Admission(const LaneLimits& limits) {
  const std::size_t reserved = std::min(limits.reserved_cancels, limits.queue);
  limits_ = {limits.queue - reserved, reserved, kOwnJobs};
}

std::size_t Admission::waiting() const {
  return std::accumulate(waiting_.begin(), waiting_.end(), std::size_t{0});
}

std::size_t Admission::held(ClientIndex client, Room room) const {
  return client < by_client_.size() ? by_client_[client][index(room)] : 0;
}

bool Admission::fits(ClientIndex client, Room room) const {
  const std::size_t limit = limits_[index(room)];
  if (waiting_[index(room)] >= limit) return false;
  if (room == Room::own) return true;
  const std::size_t mine = held(client, room);
  const std::size_t clients = clients_[index(room)] + (mine == 0 ? 1 : 0);
  // One share more than there are clients, so that the next one finds some.
  return mine < std::max<std::size_t>(1, limit / (clients + 1));
}

Result<Room> Admission::enter(ClientIndex client, Urgency urgency) {
  Room room = urgency == Urgency::cancel ? Room::cancels : Room::general;
  if (client == kNoClient) room = Room::own;
  if (room == Room::cancels && !fits(client, room)) room = Room::general;
  if (!fits(client, room)) return fail(overloaded());
  ++waiting_[index(room)];
  if (room == Room::own) return room;
  if (client >= by_client_.size()) by_client_.resize(client + std::size_t{1});
  if (by_client_[client][index(room)]++ == 0) ++clients_[index(room)];
  return room;
}

void Admission::leave(ClientIndex client, Room room) {
  --waiting_[index(room)];
  if (room != Room::own && --by_client_[client][index(room)] == 0) --clients_[index(room)];
}

void Admission::answered(Clock::Steady now) {
  if (busy_) interval_ += ((now - last_answer_) - interval_) / kWeight;
  last_answer_ = now;
  busy_ = waiting() > 0;
}

Error Admission::overloaded() const {
  // By then half of what waits now has gone, so there is room again, for this client too.
  const auto ahead = static_cast<std::int64_t>(waiting() / 2 + 1);
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(interval_ * ahead);
  Error error{.code = Code::overloaded, .what = "the queue of the token is full"};
  if (waiting_[index(Room::general)] < limits_[index(Room::general)])
    error.what = "this client has its share of the token's queue";
  error.retry_after_ms =
      static_cast<std::uint32_t>(std::clamp<std::int64_t>(wait.count(), 1, kMostRetryMs));
  return error;
}

}  // namespace hsm::keystore

#include "hsm_signer/service/deadlines.h"

#include <utility>

namespace hsm::service {

SignReply Deadlines::watch(SignReply reply, Clock::Steady deadline) {
  auto request = std::make_shared<Request>(Request{.reply = std::move(reply), .place = {}});
  request->place = open_.emplace(deadline, request);
  arm();
  return [this, request](Result<wire::Signed> result) { answer(*request, std::move(result)); };
}

void Deadlines::answer(Request& request, Result<wire::Signed> answer) {
  const SignReply reply = std::exchange(request.reply, nullptr);
  if (!reply) return;  // The client has heard that its time was up.
  open_.erase(request.place);
  reply(std::move(answer));
}

// An answer in time leaves the timer as it is: most deadlines are alike, so it fires about once in
// each, not once a request.
void Deadlines::arm() {
  if (open_.empty() || (armed_ && *armed_ <= open_.begin()->first)) return;
  armed_ = open_.begin()->first;
  timer_.expires_at(std::chrono::time_point_cast<std::chrono::steady_clock::duration>(*armed_));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) sweep();
  });
}

void Deadlines::sweep() {
  armed_.reset();
  const Clock::Steady now = clock_.steady();
  while (!open_.empty() && open_.begin()->first <= now) {
    const std::shared_ptr<Request> request = open_.begin()->second;
    answer(*request, fail(Code::deadline_exceeded, "the deadline passed before this was signed"));
  }
  arm();
}

}  // namespace hsm::service

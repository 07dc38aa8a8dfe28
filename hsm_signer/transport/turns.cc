#include "hsm_signer/transport/turns.h"

#include <boost/asio/post.hpp>
#include <utility>

namespace hsm::transport {

bool Turns::take(uid_t uid, Wake wake) {
  const auto [place, free] = waiting_.try_emplace(uid);
  if (!free) place->second.push_back(std::move(wake));
  return free;
}

void Turns::pass_on(uid_t uid) {
  boost::asio::post(io_, [this, uid] { next(uid); });
}

void Turns::next(uid_t uid) {
  const auto place = waiting_.find(uid);
  if (place->second.empty()) {
    waiting_.erase(place);
    return;
  }
  const Wake wake = std::move(place->second.front());
  place->second.pop_front();
  wake();
}

}  // namespace hsm::transport

// Whose connections are read next. However many connections a uid has ready, it gets one turn in
// each round of the event loop: a thousand that flood delay the one of another uid no more than one
// that floods does. Within a uid, connections take turns too.
#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>
#include <unordered_map>

namespace hsm::transport {

class Turns {
 public:
  using Wake = std::function<void()>;

  explicit Turns(boost::asio::io_context& io) : io_{io} {}

  // True: it is this uid's turn now. False: `wake` runs once when it is. Either way pass_on() ends
  // it.
  bool take(uid_t uid, Wake wake);
  // The next of this uid follows behind everything else that is ready by now.
  void pass_on(uid_t uid);

 private:
  void next(uid_t uid);

  boost::asio::io_context& io_;
  std::unordered_map<uid_t, std::deque<Wake>> waiting_;  // Of the uids that have the turn.
};

}  // namespace hsm::transport

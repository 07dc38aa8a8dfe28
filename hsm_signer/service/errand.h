// Work that blocks, on a thread of its own, one at a time: reading a whole log, removing large
// files. The event loop goes on meanwhile.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <thread>
#include <utility>

#include "hsm_signer/base/result.h"

namespace hsm::service {

class Errand {
 public:
  explicit Errand(boost::asio::io_context& io) : io_{io} {}
  Errand(const Errand&) = delete;
  Errand& operator=(const Errand&) = delete;
  // Waits for the work. A `done` already posted may still run: it must not outlive what it holds.
  ~Errand() {
    if (thread_.joinable()) thread_.join();
  }

  // `done` runs on the event loop, with what the work came to. Not before the one before is done.
  template <class T, class Work, class Done>
  void run(Work work, Done done) {
    if (thread_.joinable()) thread_.join();
    thread_ = std::thread{[this, work = std::move(work), done = std::move(done)]() mutable {
      Result<T> came = work();
      boost::asio::post(io_, [done = std::move(done), came = std::move(came)]() mutable {
        done(std::move(came));
      });
    }};
  }

 private:
  boost::asio::io_context& io_;
  std::thread thread_;
};

}  // namespace hsm::service

// An event loop that is run until something holds.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>

namespace hsm::test {

// Fails the test after ten seconds, which are for a broken one only. Other threads may post.
template <class Done>
void run_until(boost::asio::io_context& io, const Done& done) {
  const auto others_may_post = boost::asio::make_work_guard(io);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{10};
  while (!done() && std::chrono::steady_clock::now() < end) {
    io.restart();
    io.run_for(std::chrono::milliseconds{5});
  }
  ASSERT_TRUE(done());
}

}  // namespace hsm::test

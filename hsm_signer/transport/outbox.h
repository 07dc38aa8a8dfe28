// Connections that were answered outside of their own turn: each is written to once, however many
// answers it got.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <vector>

namespace hsm::transport {

class Connection;

class Outbox {
 public:
  explicit Outbox(boost::asio::io_context& io) : io_{io} {}

  // Its answers leave with the next send(), which comes by itself in the next round of the loop.
  void add(std::shared_ptr<Connection> connection);
  void send();

 private:
  boost::asio::io_context& io_;
  std::vector<std::shared_ptr<Connection>> answered_;
  bool scheduled_ = false;
};

}  // namespace hsm::transport

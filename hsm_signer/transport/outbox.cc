#include "hsm_signer/transport/outbox.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "hsm_signer/transport/connection.h"

namespace hsm::transport {

void Outbox::add(std::shared_ptr<Connection> connection) {
  answered_.push_back(std::move(connection));
  if (std::exchange(scheduled_, true)) return;
  boost::asio::post(io_, [this] {
    scheduled_ = false;
    send();
  });
}

void Outbox::send() {
  // Whom this closes may be answered once more meanwhile.
  for (const auto& connection : std::exchange(answered_, {})) connection->flush();
}

}  // namespace hsm::transport

// Gates on their way between clients and nonce::Gates: who may stand at which, and the time.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>

#include "hsm_signer/base/os.h"
#include "hsm_signer/keystore/registry.h"
#include "hsm_signer/nonce/gates.h"
#include "hsm_signer/service/policy_desk.h"
#include "hsm_signer/wire/client.h"

namespace hsm::service {

class GateDesk {
 public:
  struct Parts {
    const Clock& clock;
    const PolicyDesk& policy;
    const keystore::Registry& registry;
    std::chrono::milliseconds deadline;  // Where the request has none.
  };
  using Reply = std::function<void(Result<wire::GatePlace>)>;

  GateDesk(boost::asio::io_context& io, Parts parts);

  // `connection`: as nonce::Gates::Who. denied: a key that this caller may not use.
  void enter(const Peer& who, nonce::Gates::Who connection, const wire::GateEnter& ask,
             Reply reply);
  Result<void> leave(const Peer& who, nonce::Gates::Who connection, const wire::GateLeave& ask);
  void gone(nonce::Gates::Who connection);
  // The signer stops: nobody is let in any more, and who waits is told.
  void drain();

 private:
  // `request`: what it wants to send, if it says so.
  Result<ApiKeyId> gate_of(const Peer& who, const std::string& key,
                           const venue::Endpoint* request) const;
  void watch();

  Parts parts_;
  nonce::Gates gates_;
  boost::asio::steady_timer timer_;
  bool watching_ = false;
};

}  // namespace hsm::service

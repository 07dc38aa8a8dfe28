// The client socket: what each frame means to the signer.
#pragma once

#include "hsm_signer/service/gate_desk.h"
#include "hsm_signer/service/signer.h"
#include "hsm_signer/transport/connection.h"

namespace hsm::transport {

class ClientHandler final : public Connection::Handler {
 public:
  ClientHandler(service::Signer& signer, service::GateDesk& gates)
      : signer_{signer}, gates_{gates} {}
  void handle(const std::shared_ptr<Connection>& connection, const wire::FrameView& frame) override;
  void turn_over() override { signer_.turn_over(); }
  void gone(const Connection& connection) override;

 private:
  Result<void> answer(const std::shared_ptr<Connection>& connection, const wire::FrameView& frame);
  Result<void> sign(const std::shared_ptr<Connection>& connection, const wire::FrameView& frame);
  Result<void> enter(const std::shared_ptr<Connection>& connection, const wire::FrameView& frame);

  service::Signer& signer_;
  service::GateDesk& gates_;
};

}  // namespace hsm::transport

// admin.sock: what each frame means to the administration of the signer.
#pragma once

#include "hsm_signer/service/admin.h"
#include "hsm_signer/transport/connection.h"

namespace hsm::transport {

class AdminHandler final : public Connection::Handler {
 public:
  explicit AdminHandler(service::Admin& admin) : admin_{admin} {}
  void handle(const std::shared_ptr<Connection>& connection, const wire::FrameView& frame) override;
  void turn_over() override {}

 private:
  Result<void> answer(const std::shared_ptr<Connection>& connection, const wire::FrameView& frame);

  service::Admin& admin_;
};

}  // namespace hsm::transport

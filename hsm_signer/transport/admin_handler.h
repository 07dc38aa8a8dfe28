// admin.sock: what each frame means to the administration of the signer.
#pragma once

#include "hsm_signer/service/admin.h"
#include "hsm_signer/service/audit_desk.h"
#include "hsm_signer/service/panic.h"
#include "hsm_signer/service/policy_office.h"
#include "hsm_signer/service/retention_desk.h"
#include "hsm_signer/service/switch_desk.h"
#include "hsm_signer/transport/connection.h"

namespace hsm::transport {

class AdminHandler final : public Connection::Handler {
 public:
  AdminHandler(service::Admin& admin, service::SwitchDesk& switches, service::Panic& panic,
               service::PolicyOffice& policies, service::AuditDesk& audit,
               service::RetentionDesk& retention)
      : admin_{admin},
        switches_{switches},
        panic_{panic},
        policies_{policies},
        audit_{audit},
        retention_{retention} {}
  void handle(const std::shared_ptr<Connection>& connection, const wire::FrameView& frame) override;
  void turn_over() override {}

 private:
  Result<void> answer(const std::shared_ptr<Connection>& connection, const wire::FrameView& frame);
  // Switches, leases, panic, the policy, alarms, old records.
  Result<void> answer_incident(const std::shared_ptr<Connection>& connection,
                               const wire::FrameView& frame);

  service::Admin& admin_;
  service::SwitchDesk& switches_;
  service::Panic& panic_;
  service::PolicyOffice& policies_;
  service::AuditDesk& audit_;
  service::RetentionDesk& retention_;
};

}  // namespace hsm::transport

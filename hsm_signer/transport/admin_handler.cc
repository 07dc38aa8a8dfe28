#include "hsm_signer/transport/admin_handler.h"

namespace hsm::transport {
namespace {

// Sends what an asynchronous verb comes to.
template <class T>
auto reply_to(const std::shared_ptr<Connection>& connection, const wire::FrameView& frame) {
  return
      [connection, id = frame.id(), type = wire::answer_to(frame.type())](const Result<T>& answer) {
        if (answer) return connection->answer(type, id, *answer);
        connection->refuse(id, answer.error());
      };
}

}  // namespace

void AdminHandler::handle(const std::shared_ptr<Connection>& connection,
                          const wire::FrameView& frame) {
  connection->settle(frame, answer(connection, frame));
}

Result<void> AdminHandler::answer(const std::shared_ptr<Connection>& connection,
                                  const wire::FrameView& frame) {
  using wire::Type;
  const Peer& who = connection->peer();
  switch (frame.type()) {
    case Type::ping: {
      TRY(const wire::Ping ping, wire::decode<wire::Ping>(frame));
      connection->answer(frame, ping);
      return {};
    }
    case Type::register_key: {
      TRY(const wire::RegisterKey ask, wire::decode<wire::RegisterKey>(frame));
      admin_.register_key(who, ask, reply_to<wire::Registered>(connection, frame));
      return {};
    }
    case Type::activate_key: {
      TRY(const wire::KeyVersionRef ask, wire::decode<wire::KeyVersionRef>(frame));
      admin_.activate(who, ask, reply_to<wire::Done>(connection, frame));
      return {};
    }
    case Type::forget_key: {
      TRY(const wire::KeyVersionRef ask, wire::decode<wire::KeyVersionRef>(frame));
      admin_.forget(who, ask, reply_to<wire::Done>(connection, frame));
      return {};
    }
    case Type::destroyed_key: {
      TRY(const wire::KeyVersionRef ask, wire::decode<wire::KeyVersionRef>(frame));
      admin_.destroyed(who, ask, reply_to<wire::Done>(connection, frame));
      return {};
    }
    case Type::list_approvals: {
      TRY(const wire::ListApprovals ask, wire::decode<wire::ListApprovals>(frame));
      TRY(const wire::ApprovalList list, admin_.approvals(ask));
      connection->answer(frame, list);
      return {};
    }
    case Type::submit_approval: {
      TRY(const wire::SubmitApproval ask, wire::decode<wire::SubmitApproval>(frame));
      admin_.submit(who, ask, reply_to<wire::ApprovalItem>(connection, frame));
      return {};
    }
    case Type::reject_approval: {
      TRY(const wire::RejectApproval ask, wire::decode<wire::RejectApproval>(frame));
      admin_.reject(who, ask, reply_to<wire::Done>(connection, frame));
      return {};
    }
    case Type::list_versions: {
      TRY(const wire::ListVersions ask, wire::decode<wire::ListVersions>(frame));
      connection->answer(frame, admin_.list(ask));
      return {};
    }
    case Type::check_keys: {
      TRY(const wire::CheckKeys ask, wire::decode<wire::CheckKeys>(frame));
      admin_.check(ask, reply_to<wire::VersionList>(connection, frame));
      return {};
    }
    case Type::status: {
      TRY_VOID(wire::decode<wire::StatusQuery>(frame));
      connection->answer(frame, admin_.status());
      return {};
    }
    case Type::drain: {
      TRY_VOID(wire::decode<wire::Drain>(frame));
      connection->answer(frame, wire::Done{});
      admin_.drain();
      return {};
    }
    default:
      return answer_incident(connection, frame);
  }
}

Result<void> AdminHandler::answer_incident(const std::shared_ptr<Connection>& connection,
                                           const wire::FrameView& frame) {
  using wire::Type;
  const Peer& who = connection->peer();
  switch (frame.type()) {
    case Type::set_switch: {
      TRY(const wire::SetSwitch ask, wire::decode<wire::SetSwitch>(frame));
      switches_.set(who, ask, reply_to<wire::Done>(connection, frame));
      return {};
    }
    case Type::thaw: {
      TRY(const wire::Thaw ask, wire::decode<wire::Thaw>(frame));
      switches_.thaw(who, ask, reply_to<wire::Done>(connection, frame));
      return {};
    }
    case Type::lease: {
      TRY(const wire::SetLease ask, wire::decode<wire::SetLease>(frame));
      switches_.lease(who, ask, reply_to<wire::LeaseSet>(connection, frame));
      return {};
    }
    case Type::list_switches: {
      TRY(const wire::ListSwitches ask, wire::decode<wire::ListSwitches>(frame));
      connection->answer(frame, switches_.list(ask));
      return {};
    }
    case Type::panic: {
      TRY(const wire::Panic ask, wire::decode<wire::Panic>(frame));
      panic_.run(who, ask, reply_to<wire::Panicked>(connection, frame));
      return {};
    }
    case Type::reload_policy: {
      TRY(const wire::ReloadPolicy ask, wire::decode<wire::ReloadPolicy>(frame));
      policies_.reload(who, ask, reply_to<wire::PolicyInForce>(connection, frame));
      return {};
    }
    case Type::let_go: {
      TRY(const wire::LetGo ask, wire::decode<wire::LetGo>(frame));
      retention_.let_go(who, ask, reply_to<wire::LetGone>(connection, frame));
      return {};
    }
    case Type::raise_alarm: {
      TRY(const wire::RaiseAlarm ask, wire::decode<wire::RaiseAlarm>(frame));
      audit_.alarm(who, ask, reply_to<wire::Done>(connection, frame));
      return {};
    }
    default:
      return fail(
          Code::protocol_error, "unknown operation",
          "type " + std::to_string(static_cast<int>(frame.type())) + " on the admin socket");
  }
}

}  // namespace hsm::transport

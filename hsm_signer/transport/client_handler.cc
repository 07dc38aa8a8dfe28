#include "hsm_signer/transport/client_handler.h"

namespace hsm::transport {
namespace {

constexpr std::size_t kEchoLimit = 256;

// Its own as long as it is open, and no longer.
nonce::Gates::Who who(const Connection& connection) {
  return reinterpret_cast<std::uintptr_t>(&connection);
}

}  // namespace

void ClientHandler::gone(const Connection& connection) { gates_.gone(who(connection)); }

void ClientHandler::handle(const std::shared_ptr<Connection>& connection,
                           const wire::FrameView& frame) {
  connection->settle(frame, answer(connection, frame));
}

Result<void> ClientHandler::answer(const std::shared_ptr<Connection>& connection,
                                   const wire::FrameView& frame) {
  using wire::Type;
  switch (frame.type()) {
    case Type::sign_request:
    case Type::sign_verbatim:
      return sign(connection, frame);
    case Type::ping: {
      TRY(const wire::Ping ping, wire::decode<wire::Ping>(frame));
      if (ping.echo.size() > kEchoLimit)
        return fail(Code::too_large, "an echo holds at most 256 bytes");
      connection->answer(frame, ping);
      return {};
    }
    case Type::list_keys: {
      TRY(const wire::ListKeys ask, wire::decode<wire::ListKeys>(frame));
      connection->answer(frame, signer_.list_keys(connection->peer(), ask));
      return {};
    }
    case Type::whoami: {
      TRY_VOID(wire::decode<wire::WhoAmI>(frame));
      TRY(const wire::Identity identity, signer_.whoami(connection->peer()));
      connection->answer(frame, identity);
      return {};
    }
    case Type::explain: {
      TRY(const wire::Explain ask, wire::decode<wire::Explain>(frame));
      TRY(const wire::Explanation explanation, signer_.explain(connection->peer(), ask));
      connection->answer(frame, explanation);
      return {};
    }
    case Type::push_reference: {
      TRY(const wire::PushReference ask, wire::decode<wire::PushReference>(frame));
      TRY_VOID(signer_.push_reference(connection->peer(), ask));
      connection->answer(frame, wire::Done{});
      return {};
    }
    case Type::push_skew: {
      TRY(const wire::PushSkew ask, wire::decode<wire::PushSkew>(frame));
      TRY_VOID(signer_.push_skew(connection->peer(), ask));
      connection->answer(frame, wire::Done{});
      return {};
    }
    case Type::gate_enter:
      return enter(connection, frame);
    case Type::gate_leave: {
      TRY(const wire::GateLeave ask, wire::decode<wire::GateLeave>(frame));
      TRY_VOID(gates_.leave(connection->peer(), who(*connection), ask));
      connection->answer(frame, wire::Done{});
      return {};
    }
    case Type::sign_relayed:
    case Type::sign_ws_login:
    case Type::authorize:
      return fail(Code::denied, "not supported yet");
    default:
      return fail(
          Code::protocol_error, "unknown operation",
          "type " + std::to_string(static_cast<int>(frame.type())) + " on the client socket");
  }
}

Result<void> ClientHandler::enter(const std::shared_ptr<Connection>& connection,
                                  const wire::FrameView& frame) {
  TRY(const wire::GateEnter ask, wire::decode<wire::GateEnter>(frame));
  gates_.enter(connection->peer(), who(*connection), ask,
               [connection, id = frame.id(),
                type = wire::answer_to(frame.type())](const Result<wire::GatePlace>& place) {
                 if (place) return connection->answer(type, id, *place);
                 connection->refuse(id, place.error());
               });
  return {};
}

Result<void> ClientHandler::sign(const std::shared_ptr<Connection>& connection,
                                 const wire::FrameView& frame) {
  TRY(wire::SignRequest ask, wire::decode<wire::SignRequest>(frame));
  const service::Form form =
      frame.type() == wire::Type::sign_request ? service::Form::request : service::Form::verbatim;
  signer_.sign({.who = connection->peer(),
                .key = std::move(ask.key),
                .payload = std::move(ask.payload),
                .form = form,
                .deadline_ms = ask.deadline_ms,
                .reference = std::move(ask.reference),
                .wanted = [connection] { return connection->open(); }},
               [connection, id = frame.id(),
                type = wire::answer_to(frame.type())](const Result<wire::Signed>& answer) {
                 if (answer) return connection->answer(type, id, *answer);
                 connection->refuse(id, answer.error());
               });
  return {};
}

}  // namespace hsm::transport

#include "hsm_signer/service/gate_desk.h"

#include <utility>

#include "hsm_signer/service/signing.h"
#include "hsm_signer/venue/endpoints.h"

namespace hsm::service {
namespace {

using std::chrono::milliseconds;

// How late a gate may be passed on.
constexpr milliseconds kTick{20};
constexpr milliseconds kMostPatience{60'000};

// Which requests are let in first: those that take risk away, or keep the session.
bool is_urgent(const venue::Endpoint* request) {
  return request != nullptr &&
         (request->cls == venue::Class::cancel || request->cls == venue::Class::session);
}

}  // namespace

GateDesk::GateDesk(boost::asio::io_context& io, Parts parts)
    : parts_{std::move(parts)}, gates_{parts_.clock.steady()}, timer_{io} {}

// The same words for a key that is not there and for one that is not the caller's.
Result<ApiKeyId> GateDesk::gate_of(const Peer& who, const std::string& key,
                                   const venue::Endpoint* request) const {
  const keystore::KeyVersion* version = parts_.registry.active(key);
  std::vector<policy::UsableKey> usable;
  if (version != nullptr)
    usable = policy::keys_for(*parts_.policy.rules(), {.uid = who.uid, .gid = who.gid},
                              {facts_of(*version)});
  if (usable.empty())
    return fail(Code::denied, "no active key of this name that this client may use");
  if (request != nullptr && !usable.front().endpoints[policy::endpoint_index(*request)])
    return fail(Code::denied, "no rule lets this client send that with this key",
                std::string{request->path});
  return version->api_key_id;
}

void GateDesk::enter(const Peer& who, nonce::Gates::Who connection, const wire::GateEnter& ask,
                     Reply reply) {
  const venue::Endpoint* request =
      ask.request.empty() ? nullptr : venue::find_endpoint(ask.request);
  if (request == nullptr && !ask.request.empty())
    return reply(fail(Code::denied, "unknown endpoint"));
  const auto gate = gate_of(who, ask.key, request);
  if (!gate) return reply(fail(gate.error()));
  const milliseconds patience =
      ask.deadline_ms == 0 ? parts_.deadline : milliseconds{ask.deadline_ms};
  if (patience > kMostPatience)
    return reply(fail(Code::invalid_payload, "a deadline is at most 60000 ms"));
  const Clock::Steady now = parts_.clock.steady();
  gates_.enter(*gate, connection, is_urgent(request), now + patience, now,
               [reply = std::move(reply)](const Result<std::uint64_t>& place) {
                 if (!place) return reply(fail(place.error()));
                 reply(wire::GatePlace{*place});
               });
  watch();
}

Result<void> GateDesk::leave(const Peer& who, nonce::Gates::Who connection,
                             const wire::GateLeave& ask) {
  TRY(const ApiKeyId gate, gate_of(who, ask.key, nullptr));
  return gates_.leave(gate, connection, parts_.clock.steady());
}

void GateDesk::gone(nonce::Gates::Who connection) {
  gates_.gone(connection, parts_.clock.steady());
}

void GateDesk::drain() {
  gates_.close({.code = Code::overloaded, .what = "the signer is stopping"});
}

void GateDesk::watch() {
  if (watching_ || !gates_.busy()) return;
  watching_ = true;
  timer_.expires_after(kTick);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    watching_ = false;
    gates_.pass(parts_.clock.steady());
    watch();
  });
}

}  // namespace hsm::service

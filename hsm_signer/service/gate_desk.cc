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
Result<bool> is_urgent(const std::string& request) {
  if (request.empty()) return false;
  const venue::Endpoint* endpoint = venue::find_endpoint(request);
  if (endpoint == nullptr) return fail(Code::denied, "unknown endpoint");
  return endpoint->cls == venue::Class::cancel || endpoint->cls == venue::Class::session;
}

}  // namespace

GateDesk::GateDesk(boost::asio::io_context& io, Parts parts)
    : parts_{std::move(parts)}, gates_{parts_.clock.steady()}, timer_{io} {}

// The same words for a key that is not there and for one that is not the caller's.
Result<ApiKeyId> GateDesk::gate_of(const Peer& who, const std::string& key) const {
  const keystore::KeyVersion* version = parts_.registry.active(key);
  if (version != nullptr &&
      !policy::keys_for(*parts_.policy.rules(), {.uid = who.uid, .gid = who.gid},
                        {facts_of(*version)})
           .empty())
    return version->api_key_id;
  return fail(Code::denied, "no active key of this name that this client may use");
}

void GateDesk::enter(const Peer& who, nonce::Gates::Who connection, const wire::GateEnter& ask,
                     Reply reply) {
  const auto gate = gate_of(who, ask.key);
  const auto urgent = is_urgent(ask.request);
  if (!gate) return reply(fail(gate.error()));
  if (!urgent) return reply(fail(urgent.error()));
  const milliseconds patience =
      ask.deadline_ms == 0 ? parts_.deadline : milliseconds{ask.deadline_ms};
  if (patience > kMostPatience)
    return reply(fail(Code::invalid_payload, "a deadline is at most 60000 ms"));
  const Clock::Steady now = parts_.clock.steady();
  gates_.enter(*gate, connection, *urgent, now + patience, now,
               [reply = std::move(reply)](const Result<std::uint64_t>& place) {
                 if (!place) return reply(fail(place.error()));
                 reply(wire::GatePlace{*place});
               });
  watch();
}

Result<void> GateDesk::leave(const Peer& who, nonce::Gates::Who connection,
                             const wire::GateLeave& ask) {
  TRY(const ApiKeyId gate, gate_of(who, ask.key));
  return gates_.leave(gate, connection, parts_.clock.steady());
}

void GateDesk::gone(nonce::Gates::Who connection) {
  gates_.gone(connection, parts_.clock.steady());
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

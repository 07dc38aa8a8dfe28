// The simulated exchange without sockets: request in, answer out.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hsm_signer/base/os.h"
#include "hsm_signer/http/message.h"
#include "hsm_signer/sim/endpoints.h"
#include "hsm_signer/sim/fault.h"
#include "hsm_signer/sim/house.h"
#include "hsm_signer/sim/journal.h"
#include "hsm_signer/sim/rate.h"

namespace hsm::sim {

enum class Limits : bool { off, on };

// Checks as the exchange does, in this order: endpoint, headers, key, address of the caller, base64
// and MAC, JSON, `request`, nonce, rate, role, account; then does what was asked. A nonce is spent
// once it is admitted, whatever becomes of the request.
class Exchange {
 public:
  // `clock` must outlive the exchange.
  Exchange(Setup setup, const Clock& clock, Limits limits = Limits::off);
  Exchange(const Exchange&) = delete;  // Calls keep pointers into it.
  Exchange& operator=(const Exchange&) = delete;

  struct Handled {
    http::Response response;
    Entry entry;
  };
  // Never fails: a refusal is an answer too.
  Handled handle(const http::Request& request);

  // What is not the exchange's own doing, for control and for tests.
  FaultQueue& faults() { return faults_; }
  House& house() { return house_; }
  // Trades with a live order of any account: the rest of the market, as control plays it.
  Outcome<Trade> fill(std::uint64_t order, Money amount);

 private:
  struct Session {  // Gemini's word for one API key's state.
    ApiKey key;
    NonceGate nonces;
    RateGate rate;
    Clock::Steady heard;
  };
  // One request on its way.
  struct Visit {
    const http::Request& request;
    std::string_view path;
    Entry& entry;
    bool nonce_fault;
    std::chrono::nanoseconds queued{0};       // Before the answer leaves.
    std::chrono::nanoseconds retry_after{0};  // Where a rate was exceeded.
  };
  struct Authentic {
    Session* session;
    Payload payload;
  };

  Outcome<std::string> serve(Visit& visit);
  Outcome<std::string> serve_public(Visit& visit);
  Outcome<Authentic> authenticate(Visit& visit);
  Outcome<void> check_rate(Visit& visit, RateGate::Verdict verdict);
  Outcome<void> check_slow(Visit& visit, Slow slow, Account* account);
  Outcome<Session*> find_session(const std::string& key_id);
  Outcome<Account*> find_account(const Endpoint& endpoint, const ApiKey& key,
                                 const Payload& payload);
  http::Response answer_to(const Outcome<std::string>& body, const Visit& visit) const;
  void cancel_unheard();

  const Clock& clock_;
  const Limits limits_;
  House house_;
  std::map<std::string, Session, std::less<>> sessions_;
  RateGates public_rates_{kPublicRate};
  FaultQueue faults_;
};

}  // namespace hsm::sim

// What whoever runs the simulator may ask of it over its control socket: faults, fills, time.
#pragma once

#include "hsm_signer/http/message.h"
#include "hsm_signer/sim/exchange.h"
#include "hsm_signer/sim/moved_clock.h"

namespace hsm::sim {

//   POST /faults  a fault (fault.h), put behind those that wait    {"queued":N}
//   GET /faults   those that wait                                  [fault, …]
//   DELETE /faults                                                 {"queued":0}
//   POST /fill    {"order_id":…,"amount":…}                        the trade
//   POST /clock   {"advance_ms":N}                                 {"ahead_ms":N}
// Refusals are the exchange's: {"result":"error","reason":…,"message":…}. Unlike requests to the
// exchange these are plain JSON bodies, and nobody is authenticated: the socket's mode does that.
class Control {
 public:
  // Both must outlive it.
  Control(Exchange& exchange, MovedClock& clock) : exchange_{exchange}, clock_{clock} {}
  http::Response handle(const http::Request& request);

 private:
  Outcome<std::string> serve(const http::Request& request);
  Outcome<std::string> add_fault(const std::string& body);
  std::string list_faults() const;
  Outcome<std::string> fill(const std::string& body);
  Outcome<std::string> advance(const std::string& body);

  Exchange& exchange_;
  MovedClock& clock_;
};

}  // namespace hsm::sim

// Faults to order: what the exchange, or the way to it, does wrong on the next requests.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "hsm_signer/http/message.h"
#include "hsm_signer/sim/payload.h"

namespace hsm::sim {

enum class FaultKind : std::uint8_t {
  error,     // An error answer of `status`, `reason` and `message`.
  nonce,     // InvalidNonce, whatever the nonce.
  close,     // The connection is closed at `cut`.
  bad_json,  // The answer's last byte is missing; the length says so.
  delay,     // Nothing but `wait`.
};
std::string_view name(FaultKind kind);  // "bad-json"

struct Fault {
  FaultKind kind = FaultKind::error;
  std::uint64_t count = 1;  // Requests that it still spoils.
  std::string path;         // Spoils calls of this path only; empty: of every path.
  std::string key;          // Spoils calls with this key id only; empty: with every.
  std::chrono::milliseconds wait{0};
  // Whether the exchange does what was asked before the fault hides it.
  bool handled = false;
  unsigned status = 503;
  std::string reason;
  std::string message;
  bool short_body = false;  // {"error":…,"message":…}, as some services answer.
  std::optional<std::uint64_t> retry_after;  // Seconds.
  http::Delivery::Cut cut = http::Delivery::Cut::before_head;

  bool matches(const http::Request& request) const;
};

// The object that control takes (docs/gemini-sim.md, "Faults"). Members that are not known, or not
// meant for this kind, are refused.
Outcome<Fault> read_fault(const Payload& payload);
std::string fault_body(const Fault& fault);  // As control lists it.

// Each request is spoilt by the first fault in the queue that matches it.
class FaultQueue {
 public:
  static constexpr std::size_t kMost = 1'000;
  bool add(Fault fault);  // False where it is full.
  std::optional<Fault> take(const http::Request& request);
  void clear() { queue_.clear(); }
  const std::deque<Fault>& queue() const { return queue_; }

 private:
  std::deque<Fault> queue_;
};

// The answer that the client gets in place of `answer`, which is what the exchange said where it
// was asked at all.
http::Response spoil(const Fault& fault, http::Response answer);

}  // namespace hsm::sim

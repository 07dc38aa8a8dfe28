#include "hsm_signer/sim/control.h"

#include <algorithm>

#include "hsm_signer/sim/answers.h"
#include "hsm_signer/sim/order_answers.h"

namespace hsm::sim {
namespace {

// A year at a time, ten at most: beyond the year 2262 clocks in nanoseconds end.
constexpr std::uint64_t kMostAdvance = 366ULL * 24 * 3600 * 1000;
constexpr std::chrono::hours kMostAhead{24 * 366 * 10};

std::string queued_body(std::size_t count) { return R"({"queued":)" + std::to_string(count) + "}"; }

Outcome<std::uint64_t> read_whole(const Payload& payload, const char* name) {
  const Value* value = payload.find(name);
  const std::optional<std::uint64_t> number = value == nullptr ? std::nullopt : value->whole();
  if (!number)
    return refuse(Reason::invalid_json, "\"" + std::string{name} + "\" must be a whole number.");
  return *number;
}

// A member with a mistyped name would be a wish that silently stays unfulfilled.
Outcome<Payload> read_only(const std::string& body, std::initializer_list<std::string_view> known) {
  ADMIT(Payload payload, Payload::read(body));
  for (const std::string& name : payload.names()) {
    if (std::find(known.begin(), known.end(), name) == known.end())
      return refuse(Reason::invalid_json, "\"" + name + "\" is not known here.");
  }
  return payload;
}

}  // namespace

http::Response Control::handle(const http::Request& request) {
  const Outcome<std::string> body = serve(request);
  return {.status = body ? 200U : http_status(body.error().reason),
          .headers = {{"Content-Type", "application/json"}},
          .body = body ? *body : error_body(body.error())};
}

Outcome<std::string> Control::serve(const http::Request& request) {
  const std::string call = request.method + " " + request.target;
  if (call == "POST /faults") return add_fault(request.body);
  if (call == "GET /faults") return list_faults();
  if (call == "POST /fill") return fill(request.body);
  if (call == "POST /clock") return advance(request.body);
  if (call == "DELETE /faults") {
    exchange_.faults().clear();
    return queued_body(0);
  }
  return refuse(Reason::endpoint_not_found,
                "Control knows POST, GET and DELETE /faults, POST /fill, POST /clock.");
}

Outcome<std::string> Control::add_fault(const std::string& body) {
  ADMIT(const Payload payload, Payload::read(body));
  ADMIT(Fault fault, read_fault(payload));
  if (!exchange_.faults().add(std::move(fault)))
    return refuse(Reason::system, "The queue holds at most 1000 faults.");
  return queued_body(exchange_.faults().queue().size());
}

std::string Control::list_faults() const {
  std::string body = "[";
  for (const Fault& fault : exchange_.faults().queue())
    body += (body.size() > 1 ? "," : "") + fault_body(fault);
  return body + "]";
}

Outcome<std::string> Control::fill(const std::string& body) {
  ADMIT(const Payload payload, read_only(body, {"order_id", "amount"}));
  ADMIT(const std::uint64_t order, read_whole(payload, "order_id"));
  ADMIT(const Money amount,
        read_money(payload, "amount", Money::of(1, 18), Reason::invalid_quantity));
  ADMIT(const Trade trade, exchange_.fill(order, amount));
  return trade_body(trade);
}

Outcome<std::string> Control::advance(const std::string& body) {
  ADMIT(const Payload payload, read_only(body, {"advance_ms"}));
  ADMIT(const std::uint64_t millis, read_whole(payload, "advance_ms"));
  const std::chrono::milliseconds by{std::min(millis, kMostAdvance)};
  if (millis > kMostAdvance || clock_.moved() + by > kMostAhead)
    return refuse(Reason::invalid_json, "\"advance_ms\" is at most a year, ten in all.");
  clock_.advance(by);
  const auto ahead = std::chrono::floor<std::chrono::milliseconds>(clock_.moved());
  return R"({"ahead_ms":)" + std::to_string(ahead.count()) + "}";
}

}  // namespace hsm::sim

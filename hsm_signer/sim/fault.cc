#include "hsm_signer/sim/fault.h"

#include <algorithm>
#include <array>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "hsm_signer/sim/text.h"

namespace hsm::sim {
namespace {

namespace json = boost::json;
using Cut = http::Delivery::Cut;

constexpr std::uint64_t kMostCount = 1'000'000;
constexpr std::uint64_t kMostWait = 60'000;  // Milliseconds.

struct KindName {
  FaultKind kind;
  std::string_view name;
};
constexpr std::array kKinds{
    KindName{FaultKind::error, "error"}, KindName{FaultKind::nonce, "nonce"},
    KindName{FaultKind::close, "close"}, KindName{FaultKind::bad_json, "bad-json"},
    KindName{FaultKind::delay, "delay"}};

struct CutName {
  Cut cut;
  std::string_view name;
};
constexpr std::array kCuts{
    CutName{Cut::before_head, "before-head"}, CutName{Cut::before_body, "before-body"},
    CutName{Cut::inside_body, "inside-body"}, CutName{Cut::after_body, "after-body"}};

struct Usual {
  unsigned status;
  std::string_view reason;
  std::string_view message;
};
// The statuses of the exchange's own trouble (Gemini documentation, "Error codes").
constexpr std::array kUsual{
    Usual{429, "RateLimit", "Too Many Requests"},
    Usual{500, "System", "The server encountered an error"},
    Usual{502, "System", "Technical issues are preventing the request from being satisfied"},
    Usual{503, "Maintenance", "The exchange is down for maintenance"}};

struct Member {
  std::string_view name;
  std::initializer_list<FaultKind> kinds;  // Empty: all.
};
const Member kMembers[] = {
    {"fault", {}},
    {"count", {}},
    {"path", {}},
    {"key", {}},
    {"delay_ms", {}},
    // The others are about an answer, which only a handled request has.
    {"handled", {FaultKind::error, FaultKind::close}},
    {"status", {FaultKind::error}},
    {"reason", {FaultKind::error}},
    {"message", {FaultKind::error}},
    {"short", {FaultKind::error}},
    {"retry_after", {FaultKind::error}},
    {"at", {FaultKind::close}},
};

tl::unexpected<Refusal> wrong(std::string message) {
  return refuse(Reason::invalid_json, std::move(message));
}

bool is_for(const Member& member, FaultKind kind) {
  return member.kinds.size() == 0 ||
         std::find(member.kinds.begin(), member.kinds.end(), kind) != member.kinds.end();
}

Outcome<void> check_names(const Payload& payload, FaultKind kind) {
  for (const std::string& member : payload.names()) {
    const auto* known = std::find_if(std::begin(kMembers), std::end(kMembers),
                                     [&](const Member& row) { return row.name == member; });
    if (known == std::end(kMembers)) return wrong("\"" + member + "\" is not known here.");
    if (!is_for(*known, kind))
      return wrong("\"" + member + "\" has no meaning for this kind of fault.");
  }
  return {};
}

Outcome<std::optional<std::uint64_t>> read_number(const Payload& payload, std::string_view name,
                                                  std::uint64_t least, std::uint64_t most) {
  const Value* value = payload.find(name);
  if (value == nullptr) return std::nullopt;
  const std::optional<std::uint64_t> number = value->whole();
  if (value->kind != Kind::number || !number || *number < least || *number > most) {
    return wrong("\"" + std::string{name} + "\" must be a whole number of " +
                 std::to_string(least) + " to " + std::to_string(most) + ".");
  }
  return number;
}

Outcome<std::string> read_text(const Payload& payload, std::string_view name) {
  if (payload.find(name) == nullptr) return std::string{};
  const std::string* text = payload.text(name);
  if (text == nullptr) return wrong("\"" + std::string{name} + "\" must be a string.");
  return *text;
}

Outcome<bool> read_flag(const Payload& payload, std::string_view name, bool fallback) {
  const Value* value = payload.find(name);
  if (value == nullptr) return fallback;
  if (value->kind != Kind::boolean)
    return wrong("\"" + std::string{name} + "\" must be true or false.");
  return value->text == "true";
}

Outcome<void> read_error(const Payload& payload, Fault& fault) {
  ADMIT(const std::optional<std::uint64_t> status, read_number(payload, "status", 400, 599));
  fault.status = static_cast<unsigned>(status.value_or(503));
  ADMIT(fault.reason, read_text(payload, "reason"));
  ADMIT(fault.message, read_text(payload, "message"));
  ADMIT(fault.short_body, read_flag(payload, "short", false));
  ADMIT(fault.retry_after, read_number(payload, "retry_after", 0, 86'400));
  const auto* usual = std::find_if(kUsual.begin(), kUsual.end(),
                                   [&](const Usual& row) { return row.status == fault.status; });
  if (usual == kUsual.end() && fault.reason.empty())
    return wrong("\"reason\" is needed, but with status 429, 500, 502 or 503.");
  if (fault.reason.empty()) fault.reason = usual->reason;
  if (fault.message.empty() && usual != kUsual.end()) fault.message = usual->message;
  return {};
}

Outcome<void> read_close(const Payload& payload, Fault& fault) {
  ADMIT(const std::string at, read_text(payload, "at"));
  if (at.empty()) return {};
  const auto* found =
      std::find_if(kCuts.begin(), kCuts.end(), [&](const CutName& row) { return row.name == at; });
  if (found == kCuts.end())
    return wrong("\"at\" must be one of before-head, before-body, inside-body, after-body.");
  fault.cut = found->cut;
  if (fault.cut == Cut::before_head) return {};
  // There is an answer to cut only where the request is handled.
  if (payload.find("handled") != nullptr && !fault.handled)
    return wrong("A request that is not handled has no answer: it is closed at before-head.");
  fault.handled = true;
  return {};
}

std::string error_text(const Fault& fault) {
  json::object body;
  if (!fault.short_body) body["result"] = "error";
  body[fault.short_body ? "error" : "reason"] = fault.reason;
  body["message"] = fault.message;
  return json::serialize(body);
}

}  // namespace

std::string_view name(FaultKind kind) { return kKinds[static_cast<std::size_t>(kind)].name; }

bool Fault::matches(const http::Request& request) const {
  if (!path.empty() && path != request.target.substr(0, request.target.find('?'))) return false;
  const std::string* sent = http::find(request.headers, "X-GEMINI-APIKEY");
  return key.empty() || (sent != nullptr && *sent == key);
}

Outcome<Fault> read_fault(const Payload& payload) {
  const std::string* kind = payload.text("fault");
  const auto* found = std::find_if(kKinds.begin(), kKinds.end(), [&](const KindName& row) {
    return kind != nullptr && row.name == *kind;
  });
  if (found == kKinds.end())
    return wrong("\"fault\" must be one of error, nonce, close, bad-json, delay.");
  Fault fault;
  fault.kind = found->kind;
  ADMIT_VOID(check_names(payload, fault.kind));
  ADMIT(const std::optional<std::uint64_t> count, read_number(payload, "count", 1, kMostCount));
  fault.count = count.value_or(1);
  ADMIT(fault.path, read_text(payload, "path"));
  ADMIT(fault.key, read_text(payload, "key"));
  ADMIT(const std::optional<std::uint64_t> wait, read_number(payload, "delay_ms", 0, kMostWait));
  fault.wait = std::chrono::milliseconds{wait.value_or(0)};
  if (fault.kind == FaultKind::delay && fault.wait.count() == 0)
    return wrong("A delay needs \"delay_ms\".");
  const bool answers = fault.kind == FaultKind::bad_json || fault.kind == FaultKind::delay;
  ADMIT(fault.handled, read_flag(payload, "handled", answers));
  if (fault.kind == FaultKind::error) ADMIT_VOID(read_error(payload, fault));
  if (fault.kind == FaultKind::close) ADMIT_VOID(read_close(payload, fault));
  return fault;
}

std::string fault_body(const Fault& fault) {
  json::object body{{"fault", view(name(fault.kind))}, {"count", fault.count}};
  if (!fault.path.empty()) body["path"] = fault.path;
  if (!fault.key.empty()) body["key"] = fault.key;
  if (fault.wait.count() > 0) body["delay_ms"] = fault.wait.count();
  body["handled"] = fault.handled;
  if (fault.kind == FaultKind::error) {
    body["status"] = fault.status;
    body["reason"] = fault.reason;
  }
  return json::serialize(body);
}

bool FaultQueue::add(Fault fault) {
  if (queue_.size() >= kMost) return false;
  queue_.push_back(std::move(fault));
  return true;
}

std::optional<Fault> FaultQueue::take(const http::Request& request) {
  const auto found = std::find_if(queue_.begin(), queue_.end(),
                                  [&](const Fault& fault) { return fault.matches(request); });
  if (found == queue_.end()) return {};
  Fault fault = *found;
  if (--found->count == 0) queue_.erase(found);
  return fault;
}

http::Response spoil(const Fault& fault, http::Response answer) {
  answer.delivery.delay += fault.wait;
  if (fault.kind == FaultKind::close) answer.delivery.cut = fault.cut;
  if (fault.kind == FaultKind::bad_json && !answer.body.empty()) answer.body.pop_back();
  if (fault.kind == FaultKind::error) {
    answer.status = fault.status;
    answer.body = error_text(fault);
    if (fault.retry_after)
      answer.headers.push_back({"Retry-After", std::to_string(*fault.retry_after)});
  }
  return answer;
}

}  // namespace hsm::sim

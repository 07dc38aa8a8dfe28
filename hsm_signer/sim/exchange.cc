#include "hsm_signer/sim/exchange.h"

#include <algorithm>
#include <charconv>
#include <ctime>

#include "hsm_signer/base/hash.h"
#include "hsm_signer/sim/answers.h"

namespace hsm::sim {
namespace {

constexpr std::chrono::seconds kHeartbeat{30};
constexpr std::string_view kPrimary = "primary";
constexpr Roles kReaders = kTrader | kFundManager | kAuditor;

// IMF-fixdate (RFC 9110 section 5.6.7). Clients correct their clocks by it: the exchange has no
// other.
std::string http_date(Clock::Wall now) {
  const std::time_t seconds = static_cast<std::time_t>(
      std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count());
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 64> text{};
  const std::size_t size =
      std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text.data(), size};
}

// A header that is there once. Twice is refused as if it were missing: which one the real exchange
// would take is not known.
Outcome<std::string> header(const http::Request& request, const char* name, Reason missing) {
  const std::string* value = http::find(request.headers, name);
  if (value == nullptr || value->empty())
    return refuse(missing, std::string{"Must provide '"} + name + "' header");
  if (http::count(request.headers, name) > 1)
    return refuse(missing, std::string{"Must provide '"} + name + "' header once");
  return *value;
}

Outcome<Bytes> check_signature(const ApiKey& key, const std::string& payload,
                               const std::string& signature) {
  // The MAC covers the base64 text, not what it encodes.
  const std::string right = hex_encode(hmac_sha384(key.secret.view(), as_bytes(payload)));
  if (!equal_constant_time(as_bytes(right), as_bytes(signature)))
    return refuse(Reason::invalid_signature, "InvalidSignature");
  Result<Bytes> json = base64_decode_canonical(payload);
  if (!json) {
    return refuse(Reason::invalid_signature,
                  "The payload must be base64: standard alphabet, padded, one line.");
  }
  return *std::move(json);
}

// An order number as the documentation has it (integer) or as ccxt sends it (its digits in a
// string).
Outcome<std::uint64_t> read_order_id(const Payload& payload) {
  const Value* value = payload.find("order_id");
  if (value == nullptr) return refuse(Reason::missing_order_field, "Missing order field: order_id");
  std::uint64_t id = 0;
  const char* end = value->text.data() + value->text.size();
  const auto [stop, error] = std::from_chars(value->text.data(), end, id);
  if (error != std::errc{} || stop != end)
    return refuse(Reason::order_not_found, "order_id must be the number of an order.");
  return id;
}

Outcome<const Order*> read_order(const Payload& payload, const Book& book) {
  ADMIT(const std::uint64_t id, read_order_id(payload));
  const Order* order = book.find(id);
  if (order == nullptr)
    return refuse(Reason::order_not_found, "Order " + std::to_string(id) + " not found");
  return order;
}

}  // namespace

const Exchange::Endpoint Exchange::kEndpoints[] = {
    {"/v1/balances", kReaders, true, &Exchange::balances},
    {"/v1/order/new", kTrader, true, &Exchange::new_order},
    {"/v1/order/status", kTrader, true, &Exchange::order_status},
    {"/v1/order/cancel", kTrader, true, &Exchange::cancel_order},
    {"/v1/orders", kTrader | kAuditor, true, &Exchange::orders},
    {"/v1/heartbeat", 0, false, &Exchange::heartbeat},
    {"/v1/roles", 0, false, &Exchange::roles},
};

Exchange::Exchange(std::vector<ApiKey> keys, const Clock& clock) : clock_{clock} {
  for (ApiKey& key : keys) {
    const NonceRule rule = key.nonce;
    std::string id = key.id;
    sessions_.emplace(std::move(id), Session{std::move(key), NonceGate{rule}, clock.steady()});
  }
}

Exchange::Handled Exchange::handle(const http::Request& request) {
  cancel_unheard();
  Entry entry{.time = clock_.wall(),
              .key = {},
              .request = request.target.substr(0, Entry::kMostRequest),
              .nonce = {},
              .refused = {}};
  Outcome<std::string> body = serve(request, entry);
  if (!body) entry.refused = body.error().reason;
  http::Response response{
      .status = body ? 200U : http_status(body.error().reason),
      .headers = {{"Content-Type", "application/json"}, {"Date", http_date(entry.time)}},
      .body = body ? *std::move(body) : error_body(body.error())};
  return {std::move(response), std::move(entry)};
}

Outcome<std::string> Exchange::serve(const http::Request& request, Entry& entry) {
  const std::string_view path =
      std::string_view{request.target}.substr(0, request.target.find('?'));
  const Endpoint* endpoint = find_endpoint(request, path);
  if (endpoint == nullptr)
    return refuse(Reason::endpoint_not_found,
                  "API entry point not found: the method or the path is wrong");
  ADMIT(const Authentic caller, authenticate(request, path, entry));
  const ApiKey& key = caller.session->key;
  if (endpoint->roles != 0 && (endpoint->roles & key.roles) == 0) {
    return refuse(
        Reason::missing_role,
        "To access this endpoint, you need to log in to the website and go to the settings page to "
        "assign one of these roles [" +
            role_names(endpoint->roles) + "] to API key " + key.id +
            " which currently has roles [" + role_names(key.roles) + "]");
  }
  ADMIT(Book* const book, find_book(*endpoint, *caller.session, caller.payload));
  return (this->*endpoint->answer)(Call{*caller.session, caller.payload, *book});
}

const Exchange::Endpoint* Exchange::find_endpoint(const http::Request& request,
                                                  std::string_view path) {
  const auto* found = std::find_if(std::begin(kEndpoints), std::end(kEndpoints),
                                   [&](const Endpoint& endpoint) { return endpoint.path == path; });
  return found == std::end(kEndpoints) || request.method != "POST" ? nullptr : found;
}

Outcome<Exchange::Authentic> Exchange::authenticate(const http::Request& request,
                                                    std::string_view path, Entry& entry) {
  ADMIT(const std::string key_id,
        header(request, "X-GEMINI-APIKEY", Reason::missing_apikey_header));
  ADMIT(const std::string payload,
        header(request, "X-GEMINI-PAYLOAD", Reason::missing_payload_header));
  ADMIT(const std::string signature,
        header(request, "X-GEMINI-SIGNATURE", Reason::missing_signature_header));
  ADMIT(Session* const session, find_session(key_id));
  entry.key = key_id;
  ADMIT(const Bytes json, check_signature(session->key, payload, signature));
  ADMIT(Payload parsed, Payload::read(as_text(json)));
  const std::string* named = parsed.text("request");
  if (named == nullptr || *named != path) {
    return refuse(Reason::endpoint_mismatch,
                  "EndpointMismatch: `request` in the payload must be the path of the URL");
  }
  ADMIT(const Nonce nonce, read_nonce(parsed.find("nonce")));
  entry.nonce = nonce.text;
  ADMIT_VOID(session->nonces.admit(nonce, entry.time));
  session->heard = clock_.steady();
  return Authentic{session, std::move(parsed)};
}

Outcome<Exchange::Session*> Exchange::find_session(const std::string& key_id) {
  const auto found = sessions_.find(key_id);
  if (found == sessions_.end()) return refuse(Reason::invalid_api_key, "Invalid API key");
  return &found->second;
}

Outcome<Book*> Exchange::find_book(const Endpoint& endpoint, const Session& session,
                                   const Payload& payload) {
  if (!endpoint.of_account || session.key.scope == Scope::account) return &primary_;
  const std::string* account = payload.text("account");
  if (account == nullptr)
    return refuse(Reason::missing_accounts,
                  "Expected a JSON payload with an account: this is a master key");
  if (*account != kPrimary)
    return refuse(Reason::missing_accounts,
                  "There is no such account: the simulator has one, primary");
  return &primary_;
}

// Done when the next request comes: nobody can see the difference to doing it in time.
void Exchange::cancel_unheard() {
  for (const auto& [id, session] : sessions_) {
    if (session.key.heartbeat && clock_.steady() - session.heard > kHeartbeat)
      primary_.cancel_session(id, "HeartbeatLost");
  }
}

Outcome<std::string> Exchange::balances(const Call& call) {
  return balances_body(call.book.wallet());
}

Outcome<std::string> Exchange::new_order(const Call& call) {
  ADMIT(OrderForm form, read_order_form(call.payload));
  ADMIT(const Order* const order,
        call.book.place(std::move(form), call.session.key.id, next_order_, clock_.wall()));
  ++next_order_;
  return order_body(*order, Trades::leave_out);
}

Outcome<std::string> Exchange::order_status(const Call& call) {
  const Value* include = call.payload.find("include_trades");
  const Trades trades =
      include != nullptr && include->text == "true" ? Trades::include : Trades::leave_out;
  const std::string* client_id = call.payload.text("client_order_id");
  if (client_id == nullptr || call.payload.find("order_id") != nullptr) {
    ADMIT(const Order* const order, read_order(call.payload, call.book));
    return order_body(*order, trades);
  }
  const std::vector<const Order*> found = call.book.find_by_client_id(*client_id);
  if (found.empty()) return refuse(Reason::order_not_found, "No order has this client_order_id");
  return orders_body(found, trades);
}

Outcome<std::string> Exchange::cancel_order(const Call& call) {
  ADMIT(const Order* const order, read_order(call.payload, call.book));
  call.book.cancel(order->id, "Requested");
  return order_body(*order, Trades::leave_out);
}

Outcome<std::string> Exchange::orders(const Call& call) {
  return orders_body(call.book.live(), Trades::leave_out);
}

// The request itself has reset the timer, in authenticate().
Outcome<std::string> Exchange::heartbeat(const Call&) { return ok_body(); }

Outcome<std::string> Exchange::roles(const Call& call) { return roles_body(call.session.key); }

}  // namespace hsm::sim

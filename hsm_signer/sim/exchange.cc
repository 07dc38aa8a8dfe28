#include "hsm_signer/sim/exchange.h"

#include <algorithm>
#include <array>
#include <ctime>

#include "hsm_signer/base/hash.h"
#include "hsm_signer/sim/answers.h"
#include "hsm_signer/sim/order_answers.h"

namespace hsm::sim {
namespace {

constexpr std::chrono::seconds kHeartbeat{30};

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

Outcome<void> check_role(const Endpoint& endpoint, const ApiKey& key) {
  if (endpoint.about == About::group && key.scope != Scope::master) {
    return refuse(Reason::missing_role, "This endpoint needs a master key, and API key " + key.id +
                                            " is that of one account");
  }
  if (endpoint.roles == 0 || (endpoint.roles & key.roles) != 0) return {};
  return refuse(
      Reason::missing_role,
      "To access this endpoint, you need to log in to the website and go to the settings page to "
      "assign one of these roles [" +
          role_names(endpoint.roles) + "] to API key " + key.id + " which currently has roles [" +
          role_names(key.roles) + "]");
}

tl::unexpected<Refusal> no_endpoint() {
  return refuse(Reason::endpoint_not_found,
                "API entry point not found: the method or the path is wrong");
}

}  // namespace

Exchange::Exchange(Setup setup, const Clock& clock, Limits limits)
    : clock_{clock}, limits_{limits}, house_{setup.accounts, setup.approved, clock.wall()} {
  for (ApiKey& key : setup.keys) {
    const NonceRule rule = key.nonce;
    std::string id = key.id;
    sessions_.emplace(std::move(id),
                      Session{std::move(key), NonceGate{rule}, RateGate{}, clock.steady()});
  }
}

Exchange::Handled Exchange::handle(const http::Request& request) {
  cancel_unheard();
  const std::string_view path =
      std::string_view{request.target}.substr(0, request.target.find('?'));
  Entry entry{.time = clock_.wall(),
              .key = {},
              .request = request.target.substr(0, Entry::kMostRequest),
              .nonce = {},
              .refused = {},
              .status = {},
              .fault = {}};
  const std::optional<Fault> fault = faults_.take(request);
  if (fault) entry.fault = name(fault->kind);
  const bool nonce_fault = fault && fault->kind == FaultKind::nonce;
  http::Response response;
  if (!fault || fault->handled || nonce_fault) {
    Visit visit{request, path, entry, nonce_fault};
    const Outcome<std::string> body = serve(visit);
    if (!body) entry.refused = body.error().reason;
    response = answer_to(body, visit);
  } else {
    entry.untouched = true;
    response.headers = {{"Content-Type", "application/json"}, {"Date", http_date(entry.time)}};
  }
  if (fault) response = spoil(*fault, std::move(response));
  if (response.delivery.cut != http::Delivery::Cut::before_head) entry.status = response.status;
  return {std::move(response), std::move(entry)};
}

http::Response Exchange::answer_to(const Outcome<std::string>& body, const Visit& visit) const {
  using namespace std::chrono;
  http::Response response{
      .status = body ? 200U : http_status(body.error().reason),
      .headers = {{"Content-Type", "application/json"}, {"Date", http_date(visit.entry.time)}},
      .body = body ? *body : error_body(body.error())};
  response.delivery.delay = ceil<milliseconds>(visit.queued);
  if (visit.retry_after.count() > 0)
    response.headers.push_back(
        {"Retry-After", std::to_string(ceil<seconds>(visit.retry_after).count())});
  return response;
}

Outcome<std::string> Exchange::serve(Visit& visit) {
  if (visit.request.method == "GET") return serve_public(visit);
  std::optional<Found> found = find_endpoint(visit.path);
  if (!found || visit.request.method != "POST") return no_endpoint();
  const Endpoint& endpoint = *found->endpoint;
  ADMIT(const Authentic caller, authenticate(visit));
  const ApiKey& key = caller.session->key;
  if (limits_ == Limits::on) {
    ADMIT_VOID(check_rate(visit, caller.session->rate.admit(kPrivateRate, clock_.steady())));
  }
  ADMIT_VOID(check_role(endpoint, key));
  ADMIT(Account* const account, find_account(endpoint, key, caller.payload));
  if (limits_ == Limits::on) {
    ADMIT_VOID(check_slow(visit, endpoint.slow, account));
  }
  return endpoint.answer(
      Call{key, caller.payload, account, house_, std::move(found->variables), visit.entry.time});
}

// The few public entry points that clients ask before they trade.
Outcome<std::string> Exchange::serve_public(Visit& visit) {
  const bool all = visit.path == "/v1/symbols";
  const auto details = match_path("/v1/symbols/details/{symbol}", visit.path);
  if (!all && !details) return no_endpoint();
  if (limits_ == Limits::on) {
    ADMIT_VOID(check_rate(visit, public_rates_.admit(visit.request.peer, clock_.steady())));
  }
  if (all) return symbols_body();
  const Symbol* symbol = find_symbol(details->front());
  if (symbol == nullptr) return refuse(Reason::invalid_symbol, "There is no such symbol.");
  return symbol_body(*symbol);
}

Outcome<void> Exchange::check_slow(Visit& visit, Slow slow, Account* account) {
  if (slow == Slow::addresses)
    return check_rate(visit, account->addresses_gate.admit(kAddressRate, clock_.steady()));
  if (slow == Slow::transfers)
    return check_rate(visit, account->transfers_gate.admit(kTransfersRate, clock_.steady()));
  return {};
}

Outcome<void> Exchange::check_rate(Visit& visit, RateGate::Verdict verdict) {
  if (verdict.admitted) {
    visit.queued = std::max(visit.queued, verdict.wait);
    return {};
  }
  visit.retry_after = verdict.wait;
  return refuse(Reason::rate_limit, "Too Many Requests");
}

Outcome<Exchange::Authentic> Exchange::authenticate(Visit& visit) {
  const http::Request& request = visit.request;
  ADMIT(const std::string key_id,
        header(request, "X-GEMINI-APIKEY", Reason::missing_apikey_header));
  ADMIT(const std::string payload,
        header(request, "X-GEMINI-PAYLOAD", Reason::missing_payload_header));
  ADMIT(const std::string signature,
        header(request, "X-GEMINI-SIGNATURE", Reason::missing_signature_header));
  ADMIT(Session* const session, find_session(key_id));
  visit.entry.key = key_id;
  if (!session->key.trusts(request.peer)) {
    return refuse(Reason::api_key_ip_filtering_failure,
                  "ApiKey fails IP Filtering Check for some accounts");
  }
  ADMIT(const Bytes json, check_signature(session->key, payload, signature));
  ADMIT(Payload parsed, Payload::read(as_text(json)));
  const std::string* named = parsed.text("request");
  if (named == nullptr || *named != visit.path) {
    return refuse(Reason::endpoint_mismatch,
                  "EndpointMismatch: `request` in the payload must be the path of the URL");
  }
  ADMIT(const Nonce nonce, read_nonce(parsed.find("nonce")));
  visit.entry.nonce = nonce.text;
  if (visit.nonce_fault) return has_not_increased(nonce);
  ADMIT_VOID(session->nonces.admit(nonce, visit.entry.time));
  session->heard = clock_.steady();
  return Authentic{session, std::move(parsed)};
}

Outcome<Exchange::Session*> Exchange::find_session(const std::string& key_id) {
  const auto found = sessions_.find(key_id);
  if (found == sessions_.end()) return refuse(Reason::invalid_api_key, "Invalid API key");
  return &found->second;
}

Outcome<Account*> Exchange::find_account(const Endpoint& endpoint, const ApiKey& key,
                                         const Payload& payload) {
  if (endpoint.about == About::key || endpoint.about == About::group) return nullptr;
  if (key.scope == Scope::account) return house_.find(key.account);
  if (endpoint.about == About::account_or_group && payload.find("account") == nullptr)
    return nullptr;
  const std::string* name = payload.text("account");
  if (name == nullptr)
    return refuse(Reason::missing_accounts,
                  "Expected a JSON payload with an account: this is a master key");
  Account* account = house_.find(*name);
  if (account == nullptr)
    return refuse(Reason::missing_accounts, "There is no such account in this group");
  return account;
}

// Done when the next request comes: nobody can see the difference to doing it in time.
void Exchange::cancel_unheard() {
  for (const auto& [id, session] : sessions_) {
    if (session.key.heartbeat && clock_.steady() - session.heard > kHeartbeat)
      house_.find(session.key.account)->book.cancel_session(id, "HeartbeatLost");
  }
}

Outcome<Trade> Exchange::fill(std::uint64_t order, Money amount) {
  cancel_unheard();
  for (Account& account : house_.accounts()) {
    if (account.book.find(order) == nullptr) continue;
    ADMIT(const Trade* const trade,
          account.book.fill(order, amount, house_.next_number(), clock_.wall()));
    house_.use_number();
    return *trade;
  }
  return refuse(Reason::order_not_found, "Order " + std::to_string(order) + " not found");
}

}  // namespace hsm::sim

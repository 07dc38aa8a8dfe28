// The simulated exchange without sockets: request in, answer out.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hsm_signer/base/os.h"
#include "hsm_signer/http/message.h"
#include "hsm_signer/sim/book.h"
#include "hsm_signer/sim/journal.h"
#include "hsm_signer/sim/keys.h"
#include "hsm_signer/sim/payload.h"

namespace hsm::sim {

// Checks as the exchange does, in this order: endpoint, headers, key, base64 and MAC, JSON,
// `request`, nonce, role, account; then does what was asked. A nonce is spent once it is admitted,
// whatever becomes of the request.
class Exchange {
 public:
  // `clock` must outlive the exchange.
  Exchange(std::vector<ApiKey> keys, const Clock& clock);

  struct Handled {
    http::Response response;
    Entry entry;
  };
  // Never fails: a refusal is an answer too.
  Handled handle(const http::Request& request);

 private:
  struct Session {  // Gemini's word for one API key's state.
    ApiKey key;
    NonceGate nonces;
    Clock::Steady heard;
  };
  struct Call {
    Session& session;
    const Payload& payload;
    Book& book;
  };
  struct Endpoint {
    std::string_view path;
    Roles roles;  // Any one of these; 0: every key.
    bool of_account;
    Outcome<std::string> (Exchange::*answer)(const Call&);
  };
  struct Authentic {
    Session* session;
    Payload payload;
  };

  Outcome<std::string> serve(const http::Request& request, Entry& entry);
  static const Endpoint* find_endpoint(const http::Request& request, std::string_view path);
  Outcome<Authentic> authenticate(const http::Request& request, std::string_view path,
                                  Entry& entry);
  Outcome<Session*> find_session(const std::string& key_id);
  Outcome<Book*> find_book(const Endpoint& endpoint, const Session& session,
                           const Payload& payload);
  void cancel_unheard();

  Outcome<std::string> balances(const Call& call);
  Outcome<std::string> new_order(const Call& call);
  Outcome<std::string> order_status(const Call& call);
  Outcome<std::string> cancel_order(const Call& call);
  Outcome<std::string> orders(const Call& call);
  Outcome<std::string> heartbeat(const Call& call);
  Outcome<std::string> roles(const Call& call);

  const Clock& clock_;
  std::map<std::string, Session, std::less<>> sessions_;
  Book primary_;                            // The one account, named "primary".
  std::uint64_t next_order_ = 106'817'811;  // The first of Gemini's documented examples.

  static const Endpoint kEndpoints[];
};

}  // namespace hsm::sim

// Requests that wait for officers: data and bounds, no I/O.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/officers/statement.h"
#include "hsm_signer/wire/admin.h"

namespace hsm::service {

// One of them. What officers state is all of it but rule, group and need: those are of the policy
// in force whenever it is asked for.
struct Pending {
  std::string id;  // Also the statement's.
  std::string client;
  std::string key;
  std::string api_key_id;
  std::string environment;
  std::string token;
  std::string requester;  // The officer behind the client; may be empty.
  std::uint64_t policy_serial = 0;
  std::string payload;  // As officers are shown it: no nonce, ASCII.
  std::string endpoint;
  std::string rule;
  std::string group;
  std::uint32_t need = 0;
  std::string asked;          // SHA-256 by which the same request finds it again.
  std::string request;        // What sign_request signs, with its idempotency member; else empty.
  std::uint64_t created = 0;  // Microseconds since 1970.
  std::uint64_t expires = 0;
  std::string signatures;  // Armored, one behind the other: with the text in front, a bundle.
  std::string officers;    // Whose these are, joined by commas.
  std::string remark;      // What the token host said when it did not sign.
  bool releasing = false;  // On its way to a worker; not kept.

  Clock::Wall ends() const { return Clock::Wall{std::chrono::microseconds{expires}}; }
  officers::Statement statement(const std::string& host) const;
  wire::ApprovalItem item() const;

  // The value of a state note, and back; state_unavailable for what is damaged.
  std::string to_note() const;
  static Result<Pending> from_note(const std::string& value);

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.id);
    visit.required(2, self.client);
    visit.required(3, self.key);
    visit.required(4, self.api_key_id);
    visit.required(5, self.environment);
    visit.required(6, self.token);
    visit.optional(7, self.requester);
    visit.optional(8, self.policy_serial);
    visit.required(9, self.payload);
    visit.required(10, self.endpoint);
    visit.required(11, self.rule);
    visit.required(12, self.group);
    visit.required(13, self.need);
    visit.required(14, self.asked);
    visit.optional(15, self.request);
    visit.required(16, self.created);
    visit.required(17, self.expires);
    visit.optional(18, self.signatures);
    visit.optional(19, self.officers);
    visit.optional(20, self.remark);
  }
};

class PendingApprovals {
 public:
  struct Limits {
    std::size_t most = 1024;
    std::size_t of_client = 64;
  };
  explicit PendingApprovals(Limits limits) : limits_{limits} {}
  PendingApprovals() : PendingApprovals(Limits{}) {}

  // overloaded: as many wait as may. The pointers stay good until it is erased.
  Result<Pending*> add(Pending pending);
  Pending* find(std::string_view id);
  Pending* asked_for(std::string_view asked);
  void erase(std::string_view id);
  // Takes those that are over out, but for what is on its way to a worker; their ids.
  std::vector<std::string> expire(Clock::Wall now);
  // Oldest first.
  std::vector<const Pending*> all() const;
  std::size_t size() const { return by_id_.size(); }

 private:
  Limits limits_;
  std::map<std::string, Pending, std::less<>> by_id_;
  std::map<std::string, std::string, std::less<>> by_asked_;
  std::map<std::string, std::size_t> of_client_;
};

}  // namespace hsm::service

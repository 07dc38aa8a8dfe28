// The one story of this daemon: a request is read, judged, queued, given its nonce, signed in the
// token, recorded, answered. Everything here runs on one thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "hsm_signer/base/os.h"
#include "hsm_signer/keystore/registry.h"
#include "hsm_signer/keystore/token_pool.h"
#include "hsm_signer/policy/policy.h"
#include "hsm_signer/service/approval_desk.h"
#include "hsm_signer/service/deadlines.h"
#include "hsm_signer/service/ledger.h"
#include "hsm_signer/service/nonce_desk.h"
#include "hsm_signer/service/policy_desk.h"
#include "hsm_signer/service/switch_desk.h"
#include "hsm_signer/wire/client.h"

namespace hsm::service {

enum class Form : bool { request, verbatim };
// As the audit log spells it.
std::string op_name(Form form);

struct SignAsk {
  Peer who;
  std::string key;
  std::string payload;
  Form form = Form::request;
  std::uint32_t deadline_ms = 0;  // 0: the default.
  // Idempotency, on endpoints whose row has a member for it: the same for the same reference.
  std::string reference;
  // Whether there is still somebody to take the answer; asked before a nonce is spent on it. May be
  // empty: yes.
  std::function<bool()> wanted = {};
};

class SignTask;

struct Counters {
  std::uint64_t signatures = 0;
  std::uint64_t refusals = 0;
};

class Signer {
 public:
  struct Parts {
    const Clock& clock;
    PolicyDesk& policy;
    const SwitchDesk& switches;
    keystore::Registry& registry;
    NonceDesk& nonces;
    keystore::TokenPool& pool;
    Ledger& ledger;
    Deadlines& deadlines;
    ApprovalDesk& approvals;
    std::chrono::milliseconds deadline;
  };
  explicit Signer(Parts parts) : parts_{parts} {}

  // `reply` runs exactly once, within the deadline, with a signature only after its audit record.
  void sign(SignAsk ask, SignReply reply);
  // What was asked in this turn goes to the workers, as far as they have room, and what was refused
  // is recorded before its answers leave.
  void turn_over();
  Result<wire::Explanation> explain(const Peer& who, const wire::Explain& ask) const;
  wire::KeyList list_keys(const Peer& who, const wire::ListKeys& ask) const;
  Result<wire::Identity> whoami(const Peer& who) const;
  Result<void> push_reference(const Peer& who, const wire::PushReference& ask);
  // denied: a client that may not. From 5 s on an alarm is raised.
  Result<void> push_skew(const Peer& who, const wire::PushSkew& ask);

  // After this new requests are refused; those inside finish.
  void drain() { draining_ = true; }
  bool draining() const { return draining_; }
  std::size_t unfinished() const { return unfinished_; }
  const Counters& counters() const { return counters_; }

  // A version whose key-check value in the token is not the registered one signs nothing until it
  // is checked again. `why` empty: healthy.
  void set_health(const std::string& label, std::string why);
  // Empty: nothing known against it.
  std::string health(const std::string& label) const;

 private:
  friend class SignTask;

  struct Place {
    keystore::TokenIndex token;
    nonce::MarkIndex mark;
  };
  // Why nobody's request is taken just now, or not this one whatever it asks.
  std::optional<Error> turned_away(const SignAsk& ask) const;
  // Where an allowed request is signed.
  Result<Place> place(const SignAsk& ask, const keystore::KeyVersion& version) const;
  // Takes `ask` and `reply` only where it succeeds; records a refusal otherwise.
  Result<std::unique_ptr<SignTask>> judge(SignAsk& ask, Clock::Steady now, SignReply& reply);
  // Puts an idempotency member into what moves money, before anybody judges it; so `ask.payload`
  // may become another. Gives asked_hash() of what was asked where that has no reference; empty:
  // it is that of `payload`.
  Result<std::string> make_idempotent(SignAsk& ask, venue::Payload& payload) const;
  // Of a decision that only wants officers: what they have signed, and with that judged again.
  Result<Approved> settle(const SignAsk& ask, const venue::Payload& payload,
                          const keystore::KeyVersion& version, const std::string& asked,
                          policy::Decision& decision) const;
  // What may have changed while a judged request waited: the log, the key's state, its health, its
  // client, switches.
  Result<void> still_fit(const SignTask& task) const;
  policy::Scene scene() const;
  Clock::Steady deadline_of(const SignAsk& ask, Clock::Steady now) const;
  void approved_was_signed(const Peer& who, const std::string& approval,
                           const Result<std::uint64_t>& sequence);
  // An approved one uses the officers' statement first.
  void release(std::unique_ptr<SignTask> task);
  void enter(std::unique_ptr<SignTask> task);
  void queue(std::unique_ptr<SignTask> task);
  keystore::ClientIndex client_index(uid_t uid);

  Parts parts_;
  std::unordered_map<std::string, std::string> sick_;
  Counters counters_;
  std::size_t unfinished_ = 0;
  std::unordered_map<uid_t, keystore::ClientIndex> clients_;
  bool draining_ = false;
};

}  // namespace hsm::service

// Messages of admin.sock for switches, leases and panic (docs/incidents.md). A subject is `kind`
// ("client", "key", "all") and `name`, which "all" has not.
#pragma once

#include "hsm_signer/wire/client.h"

namespace hsm::wire {

// Throws a switch; done when it is in force and durable.
struct SetSwitch {
  static constexpr Type kType = Type::set_switch;
  std::string kind;
  std::string name;
  std::string what;    // "frozen" or "cancel_only"
  std::string reason;  // At most 200 printable ASCII characters; reaches clients.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.kind);
    visit.optional(2, self.name);
    visit.required(3, self.what);
    visit.optional(4, self.reason);
  }
};

// Lifts the switch of a subject.
struct Thaw {
  static constexpr Type kType = Type::thaw;
  std::string kind;
  std::string name;
  std::string reason;
  std::string statement;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.kind);
    visit.optional(2, self.name);
    visit.optional(3, self.reason);
    visit.optional(4, self.statement);
  }
};

// Grants or renews a lease from now on, or ends it, which is lifting.
struct SetLease {
  static constexpr Type kType = Type::lease;
  std::string kind;
  std::string name;
  std::uint32_t seconds = 0;  // 0: ends it.
  std::string statement;      // With 0 only.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.kind);
    visit.optional(2, self.name);
    visit.optional(3, self.seconds);
    visit.optional(4, self.statement);
  }
};

struct LeaseSet {
  std::string until;  // RFC 3339; empty where it was ended.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.optional(1, self.until);
  }
};

struct ListSwitches {
  static constexpr Type kType = Type::list_switches;
  std::uint32_t offset = 0;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.optional(1, self.offset);
  }
};

// What one subject has: a switch, a lease, or both.
struct SwitchItem {
  std::string kind;
  std::string name;
  std::string what;  // "frozen", "cancel_only", or empty: no switch.
  std::string since;
  std::uint32_t uid = 0;  // Of who threw it.
  std::string reason;
  std::string lease_until;  // Empty: no lease.
  bool lapsed = false;

  bool operator==(const SwitchItem&) const = default;
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.kind);
    visit.optional(2, self.name);
    visit.optional(3, self.what);
    visit.optional(4, self.since);
    visit.optional(5, self.uid);
    visit.optional(6, self.reason);
    visit.optional(7, self.lease_until);
    visit.optional(8, self.lapsed);
  }
};

struct SwitchList {
  std::uint32_t total = 0;
  std::vector<SwitchItem> switches;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.total);
    visit.optional(2, self.switches);
  }
};

// Freezes a key and signs what ends its orders and burns its nonces.
struct Panic {
  static constexpr Type kType = Type::panic;
  std::string key;
  std::string account;  // Which account of a master key; empty for an account's key.
  std::string reason;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.key);
    visit.optional(2, self.account);
    visit.optional(3, self.reason);
  }
};

struct PanicStep {
  std::string step;      // "freeze", "cancel_all", "burn"
  std::string code;      // Empty: done.
  std::string sentence;  // Why not.

  bool operator==(const PanicStep&) const = default;
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.step);
    visit.optional(2, self.code);
    visit.optional(3, self.sentence);
  }
};

// A signature that was released and that the exchange may still take.
struct UnspentItem {
  std::uint64_t audit_sequence = 0;
  std::string endpoint;
  std::string nonce;
  std::string time;  // Of its record.

  bool operator==(const UnspentItem&) const = default;
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.audit_sequence);
    visit.required(2, self.endpoint);
    visit.required(3, self.nonce);
    visit.required(4, self.time);
  }
};

struct KeyNameItem {
  std::string key;
  bool operator==(const KeyNameItem&) const = default;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.key);
  }
};

struct Panicked {
  std::vector<PanicStep> steps;    // All three, in this order: freeze, cancel_all, burn.
  std::vector<Signed> cancel_all;  // One where its step is done.
  std::vector<Signed> burn;
  std::vector<UnspentItem> unspent;  // The newest, by sequence.
  std::uint64_t unspent_more = 0;    // Older ones.
  std::string nonce_form;
  std::vector<KeyNameItem> also_frozen;  // Other names of the same API key.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.steps);
    visit.optional(2, self.cancel_all);
    visit.optional(3, self.burn);
    visit.optional(4, self.unspent);
    visit.optional(5, self.unspent_more);
    visit.optional(6, self.nonce_form);
    visit.optional(7, self.also_frozen);
  }
};

}  // namespace hsm::wire

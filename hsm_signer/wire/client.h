// Messages of the client socket (design: what a trading program may ask). docs/protocol.md gives
// each field.
#pragma once

#include "hsm_signer/wire/hello.h"

namespace hsm::wire {

// The key named "desk-a.trade" signs a payload. `payload` is JSON text: for sign_request the signer
// puts the nonce in and serialises; for sign_verbatim these exact bytes are signed.
struct SignRequest {
  static constexpr Type kType = Type::sign_request;
  std::string key;
  std::string payload;
  std::uint32_t deadline_ms = 0;  // 0: the signer's default.
  std::string reference;  // Idempotency, on endpoints that have a member for it; else refused.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.key);
    visit.required(2, self.payload);
    visit.optional(3, self.deadline_ms);
    visit.optional(4, self.reference);
  }
};

// Answer to both: the three X-GEMINI headers and where the record of it stands.
struct Signed {
  std::string api_key_id;
  std::string payload_base64;
  std::string signature;  // 96 lower-case hex digits.
  std::string nonce;
  std::uint64_t audit_sequence = 0;
  std::string key;
  std::uint32_t version = 0;

  bool operator==(const Signed&) const = default;
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.api_key_id);
    visit.required(2, self.payload_base64);
    visit.required(3, self.signature);
    visit.required(4, self.nonce);
    visit.required(5, self.audit_sequence);
    visit.required(6, self.key);
    visit.required(7, self.version);
  }
};

struct Ping {
  static constexpr Type kType = Type::ping;
  Bytes echo;  // At most 256 bytes, returned as they came.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.optional(1, self.echo);
  }
};

struct ListKeys {
  static constexpr Type kType = Type::list_keys;
  std::uint32_t offset = 0;
  std::uint32_t limit = 0;  // 0: as many as fit; at most 256.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.optional(1, self.offset);
    visit.optional(2, self.limit);
  }
};

// One key that this caller may use.
struct KeyItem {
  std::string key;
  std::uint32_t version = 0;
  std::string environment;
  std::string api_key_id;
  std::string roles;       // "trader,auditor"
  std::string nonce_form;  // "signer-ms"
  std::string classes;     // Of which rules allow this caller something: "read,cancel".

  bool operator==(const KeyItem&) const = default;
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.key);
    visit.required(2, self.version);
    visit.required(3, self.environment);
    visit.required(4, self.api_key_id);
    visit.required(5, self.roles);
    visit.required(6, self.nonce_form);
    visit.optional(7, self.classes);
  }
};

struct KeyList {
  std::uint32_t total = 0;
  std::vector<KeyItem> keys;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.total);
    visit.optional(2, self.keys);
  }
};

struct WhoAmI {
  static constexpr Type kType = Type::whoami;
  template <class Self, class Visit>
  static void fields(Self&, Visit&) {}
};

struct Identity {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string client;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.uid);
    visit.required(2, self.gid);
    visit.required(3, self.client);
  }
};

// What would happen to this payload, and why; signs nothing, draws nothing.
struct Explain {
  static constexpr Type kType = Type::explain;
  std::string key;
  std::string payload;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.key);
    visit.required(2, self.payload);
  }
};

// The caller wants to be alone between this key's next nonce and "sent" (nonce/gates.h).
struct GateEnter {
  static constexpr Type kType = Type::gate_enter;
  std::string key;
  std::string request;            // What it will send, "/v1/order/cancel"; empty: nothing urgent.
  std::uint32_t deadline_ms = 0;  // 0: the signer's default.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.key);
    visit.optional(2, self.request);
    visit.optional(3, self.deadline_ms);
  }
};

struct GatePlace {
  std::uint64_t place = 0;  // In the key's order, from 1 since the signer's start.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.place);
  }
};

// It is sent; answer Done.
struct GateLeave {
  static constexpr Type kType = Type::gate_leave;
  std::string key;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.key);
  }
};

// What the exchange's clock shows now, as one of its answers says it; answer Done.
struct PushSkew {
  static constexpr Type kType = Type::push_skew;
  std::uint64_t time_us = 0;  // Microseconds since 1970.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.time_us);
  }
};

// What a market is worth, by the word of a feed that the policy trusts; answer Done.
struct PushReference {
  static constexpr Type kType = Type::push_reference;
  std::string symbol;
  std::string price;          // As an amount in a payload: "30000.5".
  std::uint64_t time_us = 0;  // When it was so, microseconds since 1970; 0: now.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.symbol);
    visit.required(2, self.price);
    visit.optional(3, self.time_us);
  }
};

struct RuleStep {
  std::string rule;
  std::string verdict;  // "allows", "refuses", "denies", "other_endpoint", "other_key"; "guard".
  std::string why;

  bool operator==(const RuleStep&) const = default;
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.rule);
    visit.required(2, self.verdict);
    visit.required(3, self.why);
  }
};

struct Explanation {
  bool allowed = false;
  std::string code;  // Where not allowed.
  std::string rule;
  std::string sentence;
  std::string endpoint;
  std::string endpoint_class;
  std::vector<RuleStep> steps;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.allowed);
    visit.optional(2, self.code);
    visit.optional(3, self.rule);
    visit.required(4, self.sentence);
    visit.optional(5, self.endpoint);
    visit.optional(6, self.endpoint_class);
    visit.optional(7, self.steps);
  }
};

}  // namespace hsm::wire

// Messages of admin.sock. `statement` carries officers' statement of just this, signed
// (docs/statements.md): demanded where signer.toml has [officers], refused where it has none.
#pragma once

#include "hsm_signer/wire/hello.h"

namespace hsm::wire {

// Registers a new version of a key as `staged` and allots its CKA_ID.
struct RegisterKey {
  static constexpr Type kType = Type::register_key;
  std::string key;
  std::string token;
  std::string api_key_id;
  std::string environment;  // "production" or "sandbox"
  std::string scope;        // "account" or "master"
  std::string roles;        // "trader,fund_manager,auditor,administrator"
  std::string nonce_form;
  std::array<Byte, 8> key_check{};
  std::string statement;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.key);
    visit.required(2, self.token);
    visit.required(3, self.api_key_id);
    visit.required(4, self.environment);
    visit.required(5, self.scope);
    visit.required(6, self.roles);
    visit.required(7, self.nonce_form);
    visit.required(8, self.key_check);
    visit.optional(9, self.statement);
  }
};

struct Registered {
  std::uint32_t version = 0;
  std::uint16_t cka_id = 0;
  std::string label;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.version);
    visit.required(2, self.cka_id);
    visit.required(3, self.label);
  }
};

// Names one version for activate_key, forget_key and destroyed_key.
struct KeyVersionRef {
  std::string key;
  std::uint32_t version = 0;
  std::string statement;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.key);
    visit.required(2, self.version);
    visit.optional(3, self.statement);
  }
};

struct ListVersions {
  static constexpr Type kType = Type::list_versions;
  std::string key;  // Empty: all keys.
  std::uint32_t offset = 0;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.optional(1, self.key);
    visit.optional(2, self.offset);
  }
};

struct VersionItem {
  std::string key;
  std::uint32_t version = 0;
  std::string token;
  std::uint16_t cka_id = 0;
  std::string api_key_id;
  std::string environment;
  std::string scope;
  std::string roles;
  std::string nonce_form;
  std::string key_check;  // 16 hex digits.
  std::string state;
  std::string created;  // RFC 3339.
  std::string activated;
  std::string
      health;  // "ok", "unchecked", "quarantined: …"; filled by check_keys and list_versions.

  bool operator==(const VersionItem&) const = default;
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.key);
    visit.required(2, self.version);
    visit.required(3, self.token);
    visit.required(4, self.cka_id);
    visit.required(5, self.api_key_id);
    visit.required(6, self.environment);
    visit.required(7, self.scope);
    visit.required(8, self.roles);
    visit.required(9, self.nonce_form);
    visit.required(10, self.key_check);
    visit.required(11, self.state);
    visit.required(12, self.created);
    visit.optional(13, self.activated);
    visit.optional(14, self.health);
  }
};

struct VersionList {
  std::uint32_t total = 0;
  std::vector<VersionItem> versions;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.total);
    visit.optional(2, self.versions);
  }
};

// Asks a worker for the key-check value of every version that is not destroyed; answers
// VersionList.
struct CheckKeys {
  static constexpr Type kType = Type::check_keys;
  std::string key;  // Empty: all keys.
  std::uint32_t offset = 0;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.optional(1, self.key);
    visit.optional(2, self.offset);
  }
};

struct StatusQuery {
  static constexpr Type kType = Type::status;
  template <class Self, class Visit>
  static void fields(Self&, Visit&) {}
};

struct TokenStatus {
  std::string token;
  std::uint32_t workers = 0;  // Connected now.
  std::uint32_t configured = 0;
  std::string problem;  // Why there are none, in the token host's words.

  bool operator==(const TokenStatus&) const = default;
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.token);
    visit.required(2, self.workers);
    visit.required(3, self.configured);
    visit.optional(4, self.problem);
  }
};

struct Status {
  std::string version;
  std::string mode;
  std::string state;  // "serving" or "draining"
  std::uint64_t audit_size = 0;
  std::uint64_t signatures = 0;
  std::uint64_t refusals = 0;
  std::uint32_t connections = 0;
  std::uint32_t keys = 0;
  std::string problem;  // Of audit or state, empty when both work.
  std::vector<TokenStatus> tokens;
  std::uint64_t turned_away = 0;  // Connections refused on the client socket, since the start.
  std::string officers;           // Whether administration needs officers' statements, in words.
  std::string host;               // As statements have to name it; empty where none are looked at.
  std::uint32_t approvals = 0;    // Requests that wait for officers.
  std::string audit_warning;      // The audit log's disk is filling; empty while it is not.
  std::string anchor;             // Of the audit log: how it does, in words.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.version);
    visit.required(2, self.mode);
    visit.required(3, self.state);
    visit.required(4, self.audit_size);
    visit.required(5, self.signatures);
    visit.required(6, self.refusals);
    visit.required(7, self.connections);
    visit.required(8, self.keys);
    visit.optional(9, self.problem);
    visit.optional(10, self.tokens);
    visit.optional(11, self.turned_away);
    visit.optional(12, self.officers);
    visit.optional(13, self.host);
    visit.optional(14, self.approvals);
    visit.optional(15, self.audit_warning);
    visit.optional(16, self.anchor);
  }
};

// Requests that wait for officers, oldest first; or, with all that is known, the one of that id.
struct ListApprovals {
  static constexpr Type kType = Type::list_approvals;
  std::string id;
  std::uint32_t offset = 0;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.optional(1, self.id);
    visit.optional(2, self.offset);
  }
};

struct ApprovalItem {
  std::string id;
  std::string state;  // "pending", "approved", "releasing"
  std::string client;
  std::string key;
  std::string api_key_id;
  std::string environment;
  std::string endpoint;  // Template.
  std::string rule;
  std::string group;
  std::uint32_t need = 0;
  std::string officers;   // Who has signed, joined by commas.
  std::string requester;  // The officer behind the client, who never counts.
  std::string created;    // RFC 3339.
  std::string expires;
  std::string remark;  // What the token host said when it did not sign.
  std::string text;    // What officers sign; only where one was asked for.

  bool operator==(const ApprovalItem&) const = default;
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.id);
    visit.required(2, self.state);
    visit.required(3, self.client);
    visit.required(4, self.key);
    visit.required(5, self.api_key_id);
    visit.required(6, self.environment);
    visit.required(7, self.endpoint);
    visit.required(8, self.rule);
    visit.required(9, self.group);
    visit.required(10, self.need);
    visit.optional(11, self.officers);
    visit.optional(12, self.requester);
    visit.required(13, self.created);
    visit.required(14, self.expires);
    visit.optional(15, self.remark);
    visit.optional(16, self.text);
  }
};

struct ApprovalList {
  std::uint32_t total = 0;
  std::vector<ApprovalItem> approvals;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.total);
    visit.optional(2, self.approvals);
  }
};

// Adds officers' signatures to one; the answer is an ApprovalItem without its text.
struct SubmitApproval {
  static constexpr Type kType = Type::submit_approval;
  std::string id;
  std::string bundle;  // Its text and signatures under it.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.id);
    visit.required(2, self.bundle);
  }
};

// It will not be signed; answer Done.
struct RejectApproval {
  static constexpr Type kType = Type::reject_approval;
  std::string id;
  std::string reason;  // 1 to 200 printable ASCII characters.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.id);
    visit.required(2, self.reason);
  }
};

// Refuse new work, finish what runs, then end.
// What an administrator's program found: an audit record and a line in the journal. Answer Done,
// once the record is on disk.
struct RaiseAlarm {
  static constexpr Type kType = Type::raise_alarm;
  std::string subject;  // "key:desk-a.trade", "reconcile"
  std::string detail;   // May be empty.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.subject);
    visit.optional(2, self.detail);
  }
};

// Lets old records of the audit log go: whole segments, every record of which is older. Answer
// LetGone, once they are gone.
struct LetGo {
  static constexpr Type kType = Type::let_go;
  std::string before;    // RFC 3339 in UTC with microseconds.
  bool dry_run = false;  // Only say what would go; needs no statement.
  std::string statement;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.before);
    visit.optional(2, self.dry_run);
    visit.optional(3, self.statement);
  }
};

struct LetGone {
  std::uint64_t first_segment = 0;  // The first that goes; equal to kept_from: none does.
  std::uint64_t kept_from = 0;      // The first that stays.
  std::uint64_t records = 0;        // Of the log up to there, and of these
  std::uint64_t count = 0;          // so many that go now.
  std::uint64_t bytes = 0;
  std::string first;  // Times of the oldest and newest of them; empty where nothing goes.
  std::string last;
  std::string why;        // The next segment stays.
  std::uint64_t seq = 0;  // Of the retention record; 0: nothing went.
  std::string sha256;     // Of what is kept of them; empty where nothing went.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.first_segment);
    visit.required(2, self.kept_from);
    visit.required(3, self.records);
    visit.required(4, self.count);
    visit.required(5, self.bytes);
    visit.optional(6, self.first);
    visit.optional(7, self.last);
    visit.required(8, self.why);
    visit.optional(9, self.seq);
    visit.optional(10, self.sha256);
  }
};

struct Drain {
  static constexpr Type kType = Type::drain;
  template <class Self, class Visit>
  static void fields(Self&, Visit&) {}
};

}  // namespace hsm::wire

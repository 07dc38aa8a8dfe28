// What the audit log says: schema v1, one canonical JSON line per record (docs/audit.md).
//
// Canonical: members in the order of record.cc, no spaces, integers without sign or leading zero,
// strings in UTF-8 with `"`, `\` and control characters (U+0000–001F, U+007F–009F, so that a
// terminal shows a line as it is) escaped in one way only. So a line can be compared byte for byte
// with what its record would be written as, and whatever differs is a forgery or damage.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/base/decimal.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/base/terms.h"

namespace hsm::audit {

inline constexpr std::uint64_t kSchemaVersion = 1;
// Of a line with its newline. The largest payload has 6 KiB; escaping makes at most six of one
// byte.
inline constexpr std::size_t kLineLimit = 64 * 1024;
inline constexpr std::size_t kFieldsLimit = 128;
// Of each text of an admin record, in bytes.
inline constexpr std::size_t kRemarkLimit = 4096;

enum class Kind : std::uint8_t { sign, key, start, stop, gap, admin, usage, refusals, token };
enum class Verdict : std::uint8_t { allow, refuse };

// A value as the policy judged it: {"price", "30000"}.
struct Field {
  std::string name;
  std::string value;
  bool operator==(const Field&) const = default;
};

// One record of any kind. A kind writes the members of its part below and of nothing else; what
// the others hold is ignored. Hashes are 64 lower-case hex digits; texts may be empty where said.
// No member ever takes a secret or the signature of a request.
struct Record {
  static Record sign(uid_t uid, gid_t gid, pid_t pid);
  static Record key_event(const Peer& who, std::string_view action, std::string_view key,
                          std::uint32_t version);
  // Anything else that an administrator or officers did.
  static Record admin_event(const Peer& who, std::string_view action, std::string_view subject);
  // `instance` tells one run of the signer from another.
  static Record start(std::string_view instance);
  static Record stop(std::string_view instance, std::string_view reason);
  // These counts of a worker have no record: it was killed, or the log could not be written.
  static Record gap(std::uint64_t worker, std::uint64_t from, std::uint64_t to,
                    std::string_view reason);
  // Refusals of `uid` that were counted and not written, with no record of their own.
  static Record refusals(uid_t uid, std::uint64_t count, Clock::Wall since);
  // What became of a token or one of its workers; see `event`.
  static Record token_event(std::string_view token, std::string_view event, std::uint64_t worker,
                            std::string_view detail);

  Kind kind = Kind::sign;
  std::uint64_t seq = 0;  // From 1, without holes; Log::append() sets it.
  Clock::Wall time{};     // Written in whole microseconds.

  // sign, key and admin: who asked, by the kernel's word.
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
  std::string key;            // Logical name; may be empty in a refusal.
  std::uint32_t version = 0;  // 0 in a refusal before the version was known.
  std::string api_key_id;     // May be empty in a refusal and in a key event.

  // sign
  std::string op;              // "sign_request", "sign_verbatim"; may be empty.
  std::string client;          // As the policy calls the caller; may be empty in a refusal.
  std::string endpoint;        // Template: "/v1/order/new"; may be empty in a refusal.
  std::string endpoint_class;  // "trade"; may be empty in a refusal.
  std::string payload_sha256;  // Of the payload's bytes as signed (refused: as asked, or empty).
  std::vector<Field> fields;   // Unlike names, in the order judged.
  std::string rule;            // That decided; may be empty.
  std::string reference;       // The caller's own; may be empty.
  std::uint64_t latency_us = 0;
  Verdict verdict = Verdict::refuse;
  // allow; the worker and its counter in usage too
  std::string nonce;                 // [0-9]{1,20}(\.[0-9]{1,9})?
  std::uint64_t worker = 0;          // Which worker made the MAC,
  std::uint64_t worker_counter = 0;  // and its how-manieth it was, from 1.
  std::string signature_sha256;      // Of the signature's hex text: nobody can sign with it.
  Durability durability = Durability::fsync;
  // refuse only
  std::string code;  // "denied"
  std::string sentence;

  // key: besides uid, gid, pid, key, version, api_key_id
  std::string action;        // [a-z_]{1,32}: "register", "activate", "retire", "destroy"
  std::string token;         // May be empty.
  std::uint16_t cka_id = 0;  // 0 where it does not matter.

  // start and stop
  std::string instance;
  std::string software;         // start: version of this program; may be empty.
  std::string binary_sha256;    // start: of its executable file; may be empty.
  std::string config_sha256;    // start; may be empty.
  std::string policy_sha256;    // start; may be empty.
  std::uint64_t cut_bytes = 0;  // start: of a torn last line that was cut off before this record.
  std::string reason;           // stop, gap, admin

  // gap: besides worker
  std::uint64_t from = 0;  // First and last count without a record; from ≤ to.
  std::uint64_t to = 0;

  // admin: besides uid, gid, pid, action ("freeze", "thaw") and reason. Texts are printable
  // (is_printable() below), at most kRemarkLimit; all but the subject may be empty.
  std::string subject;      // "key:desk-a.trade", "client:mm-bot", "all", "policy"
  std::string statement;    // Id of the officers' statement that it rests on.
  std::string officers;     // Who signed that, joined by commas.
  std::string text_sha256;  // Of a text that it put in force.
  std::string detail;       // What else somebody should know: "until 2026-11-25T19:00:00.000000Z".

  // usage: what a worker had signed in all when it was asked, in its token's own words
  // (base/usage_text.h). Besides token, worker and worker_counter.
  std::string digest;     // Over all it signed.
  std::string audit_key;  // SHA-256 of the SubjectPublicKeyInfo of the key that says so.
  std::string signature;  // Of the usage text, base64 of DER.

  // refusals: besides uid. `fields` has how many of each code, which make up `count`.
  std::uint64_t count = 0;  // From 1.
  Clock::Wall since{};      // When the first of them came.

  // token: besides token, worker (0: the token itself) and detail.
  std::string event;  // [a-z_]{1,32}: "up", "down", "worker_up", "worker_lost"

  bool operator==(const Record&) const = default;
};

// Appends the line with its newline; on an error `out` is as before. Refused (internal): a member
// that breaks its form above, text that is not UTF-8, a repeated field name; (too_large): a line
// over kLineLimit.
Result<void> append_line(const Record& record, std::string& out);
// `line` without its newline. Takes exactly what append_line() writes: verification_failed, with
// the column, for any other spelling.
Result<Record> parse_line(std::string_view line);
// The same into a record that is used again, for who reads millions: what it held of other kinds
// stays, and is ignored.
Result<void> parse_line(std::string_view line, Record& record);

// As a panic's records spell it.
inline constexpr std::string_view kPanicOp = "panic";
inline constexpr std::string_view kBurnEndpoint = "/v1/heartbeat";
// An answer after which the exchange takes no lower nonce of its API key, once it has seen it.
bool burns(const Record& record);

// UTF-8 without a control character: U+0000–001F, U+007F–009F.
bool is_printable(std::string_view text);

// nonce × 10^9: comparable whatever the form. Refuses what is not [0-9]{1,20}(\.[0-9]{1,9})?.
Result<Uint128> nonce_units(std::string_view nonce);

}  // namespace hsm::audit

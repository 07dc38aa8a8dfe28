// The state's tables, in SQLite, as plain blocking calls. State (state.h) gives them a thread; a
// program that may block (a test, an offline tool) may use a Store directly.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/base/decimal.h"
#include "hsm_signer/base/result.h"

namespace hsm::state {

// What reserve() wrote off, durably, before anybody hears of it. first > last: the mark was already
// at or above what was asked for, nothing is reserved.
struct Reservation {
  Uint128 first = 0;
  Uint128 last = 0;
  std::uint64_t epoch = 0;  // Rises with each opening of the database.
  bool operator==(const Reservation&) const = default;
};

// A key version as text and numbers; what they mean is the keystore's to say.
struct KeyRow {
  std::string key;
  std::uint32_t version = 0;
  std::string token;
  std::uint16_t cka_id = 0;
  std::string api_key_id;
  std::string environment;
  std::string scope;
  std::string roles;
  std::string nonce_form;
  std::string kcv;    // 16 hex digits.
  std::string state;  // A VersionState (base/terms.h) in words.
  std::string owner;
  std::string created;    // RFC 3339.
  std::string activated;  // RFC 3339 or empty.
  std::string ended;      // RFC 3339 or empty.
  bool operator==(const KeyRow&) const = default;
};

// A small thing to be kept as text (a switch, a spent statement): `kind` says whose it is, what
// name and value mean is theirs to say.
struct Note {
  std::string name;
  std::string value;
  bool operator==(const Note&) const = default;
};
// In bytes; the first of kind and of name.
inline constexpr std::size_t kNoteNameLimit = 256;
inline constexpr std::size_t kNoteValueLimit = 1 << 20;

// Every change is one transaction, on disk when the call returns (WAL, synchronous=FULL). Errors
// are state_unavailable unless said otherwise; a call that failed changed nothing, and the next may
// succeed (a disk that was full, a directory that was read-only).
class Store {
 public:
  // Makes the file (0600) and its directory (0700, last component only) where there are none, and
  // keeps the database to itself until it dies. Refused: a database that another process has, that
  // is damaged, that is not ours, or whose schema is newer than this program.
  static Result<std::unique_ptr<Store>> open(const std::string& path);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  std::uint64_t epoch() const { return epoch_; }

  // Raises the mark to last = max(mark, at_least_last); first = mark before + 1.
  Result<Reservation> reserve(std::string_view scope, Uint128 at_least_last);
  // Gives back what lies above `last`; the mark does not fall below where it stood before this
  // epoch's first reservation, nor below a raise(). Refused (internal): another epoch than this one
  // (its reservations may have been used by somebody else), a `last` above the mark, a scope
  // without a reservation.
  Result<void> settle(std::string_view scope, Uint128 last, std::uint64_t epoch);
  // Raises the mark, never lowers it. Answers the mark before: one below `at_least` means that this
  // database is older than what the caller knows (a restored backup).
  Result<Uint128> raise(std::string_view scope, Uint128 at_least);
  // Drops the mark. Never that of a nonce: refused (internal) for a scope of nonces.
  Result<void> forget(std::string_view scope);

  // Inserts or replaces by key and version; all rows or none. Refused (internal): a CKA_ID that
  // another version has or had in that token (never reused, so rows are never deleted), a state
  // that would go back, a change to what a version is (token, CKA_ID, API key id, environment,
  // scope, nonce form, created), a key-check value that changes.
  Result<void> put_keys(const std::vector<KeyRow>& rows);
  // By key and version.
  Result<std::vector<KeyRow>> keys();

  // Inserts or replaces by kind and name. Refused (internal): no kind, more than the limits above.
  Result<void> put_note(std::string_view kind, std::string_view name, std::string_view value);
  // None of that name: nothing to do.
  Result<void> erase_note(std::string_view kind, std::string_view name);
  // All of a kind, by name.
  Result<std::vector<Note>> notes(std::string_view kind);

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
  std::uint64_t epoch_ = 0;
};

}  // namespace hsm::state

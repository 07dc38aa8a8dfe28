#include "hsm_signer/state/store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include "hsm_signer/base/os.h"
#include "hsm_signer/base/terms.h"
#include "hsm_signer/state/database.h"

namespace hsm::state {
namespace {

constexpr std::string_view kApplicationId = "1213418835";  // "HSMS", as `file` shows it.

// Each step leads to the schema of its number from the one before. A step is never changed once it
// was released: databases that took it are out there.
constexpr const char* kSchema1 = R"sql(
  CREATE TABLE run (epoch INTEGER NOT NULL) STRICT;
  INSERT INTO run VALUES (0);
  CREATE TABLE mark (
    scope TEXT PRIMARY KEY,
    last BLOB NOT NULL CHECK (length(last) = 16),
    floor BLOB NOT NULL CHECK (length(floor) = 16),
    epoch INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE key_version (
    key TEXT NOT NULL, version INTEGER NOT NULL,
    token TEXT NOT NULL, cka_id INTEGER NOT NULL,
    api_key_id TEXT NOT NULL, environment TEXT NOT NULL, scope TEXT NOT NULL, roles TEXT NOT NULL,
    nonce_form TEXT NOT NULL, kcv TEXT NOT NULL, state TEXT NOT NULL, owner TEXT NOT NULL,
    created TEXT NOT NULL, activated TEXT NOT NULL, ended TEXT NOT NULL,
    PRIMARY KEY (key, version), UNIQUE (token, cka_id)
  ) STRICT, WITHOUT ROWID;
  PRAGMA application_id = 1213418835;
  PRAGMA user_version = 1;
)sql";
constexpr const char* kSchema2 = R"sql(
  CREATE TABLE note (
    kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (kind, name)
  ) STRICT, WITHOUT ROWID;
  PRAGMA user_version = 2;
)sql";
constexpr std::array kSchemas{kSchema1, kSchema2};

Error file_error(std::string_view what, const std::string& path) {
  return os_error(Code::state_unavailable, what, path);
}

// SQLite would make the file with the mode of the umask.
Result<void> make_file(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash != std::string::npos && slash != 0) {
    const std::string directory = path.substr(0, slash);
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
      return fail(file_error("cannot make the state directory", directory));
  }
  const OwnedFd fd{::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
  // An existing file is not opened here: closing it again would drop the locks that this process
  // may hold on it (fcntl(2), "Record locking").
  if (!fd.valid() && errno != EEXIST)
    return fail(file_error("cannot make the state database", path));
  return {};
}

// How many of the steps this database has taken: 0 for an empty one.
Result<std::size_t> schema_of(Database& db, const std::string& path) {
  TRY(const std::string application, db.value("PRAGMA application_id"));
  TRY(const std::string schema, db.value("PRAGMA user_version"));
  TRY(const std::string tables, db.value("SELECT count(*) FROM sqlite_schema"));
  if (application == "0" && schema == "0" && tables == "0") return 0U;
  if (application != kApplicationId)
    return fail(Code::state_unavailable, "not a state database of this program", path);
  for (std::size_t known = 1; known <= kSchemas.size(); ++known)
    if (schema == std::to_string(known)) return known;
  return fail(Code::state_unavailable, "the state database has another schema",
              path + " has version " + schema + ", this program knows " +
                  std::to_string(kSchemas.size()) +
                  "; use the program that wrote it, or a later one");
}

// All missing steps or none: a start that fails in the middle leaves the old schema.
Result<void> prepare_schema(Database& db, const std::string& path) {
  TRY(const std::size_t taken, schema_of(db, path));
  if (taken == kSchemas.size()) return {};
  return db.transaction([&]() -> Result<void> {
    for (std::size_t step = taken; step < kSchemas.size(); ++step) TRY_VOID(db.run(kSchemas[step]));
    return {};
  });
}

Result<void> configure(Database& db) {
  // Exclusive before the first access: a second process is refused, and WAL needs no shared memory
  // (https://www.sqlite.org/wal.html, section 8).
  TRY_VOID(db.run("PRAGMA locking_mode = EXCLUSIVE"));
  TRY(const std::string mode, db.value("PRAGMA journal_mode = WAL"));
  if (mode != "wal") return fail(db.error(SQLITE_READONLY));
  // FULL: in WAL mode anything less may lose the last commits in a power cut.
  TRY_VOID(db.run("PRAGMA synchronous = FULL"));
  TRY_VOID(db.run("PRAGMA trusted_schema = OFF"));
  // A file in /var/tmp is none that the signer may make (docs/confinement.md).
  TRY_VOID(db.run("PRAGMA temp_store = MEMORY"));
  TRY(const std::string checked, db.value("PRAGMA quick_check(1)"));
  if (checked != "ok") return fail(db.error(SQLITE_CORRUPT));
  return {};
}

struct Mark {
  Uint128 last = 0;
  Uint128 floor = 0;  // settle() does not go below.
  std::uint64_t epoch = 0;
};

Result<std::optional<Mark>> read_mark(Database& db, std::string_view scope) {
  TRY(Statement query, db.prepare("SELECT last, floor, epoch FROM mark WHERE scope = ?"));
  TRY(const bool found, query.bind(scope).step());
  if (!found) return std::optional<Mark>{};
  Mark mark{.epoch = static_cast<std::uint64_t>(query.integer(2))};
  TRY(mark.last, query.uint128(0));
  TRY(mark.floor, query.uint128(1));
  return std::optional{mark};
}

Result<void> write_mark(Database& db, std::string_view scope, const Mark& mark) {
  TRY(Statement insert, db.prepare("INSERT OR REPLACE INTO mark VALUES (?, ?, ?, ?)"));
  insert.bind(scope).bind(mark.last).bind(mark.floor).bind(static_cast<std::int64_t>(mark.epoch));
  TRY_VOID(insert.step());
  return {};
}

constexpr const char* kSelectKeys =
    "SELECT key, version, token, cka_id, api_key_id, environment, scope, roles, nonce_form, kcv, "
    "state, owner, created, activated, ended FROM key_version ";

KeyRow read_row(const Statement& row) {
  return {.key = row.text(0),
          .version = static_cast<std::uint32_t>(row.integer(1)),
          .token = row.text(2),
          .cka_id = static_cast<std::uint16_t>(row.integer(3)),
          .api_key_id = row.text(4),
          .environment = row.text(5),
          .scope = row.text(6),
          .roles = row.text(7),
          .nonce_form = row.text(8),
          .kcv = row.text(9),
          .state = row.text(10),
          .owner = row.text(11),
          .created = row.text(12),
          .activated = row.text(13),
          .ended = row.text(14)};
}

auto refuse(const KeyRow& row, std::string_view why) {
  return fail(Code::internal, "a key row was refused",
              row.key + " version " + std::to_string(row.version) + ": " + std::string{why});
}

// A version's state only goes forward, and what a version is never changes.
Result<void> check_succession(const KeyRow& before, const KeyRow& after) {
  const bool same = before.token == after.token && before.cka_id == after.cka_id &&
                    before.api_key_id == after.api_key_id &&
                    before.environment == after.environment && before.scope == after.scope &&
                    before.nonce_form == after.nonce_form && before.created == after.created;
  if (!same) return refuse(after, "what a version is cannot change");
  if (!before.kcv.empty() && before.kcv != after.kcv)
    return refuse(after, "a key-check value cannot change");
  const auto was = from_spelling(kVersionStates, before.state);
  if (was && *was > *from_spelling(kVersionStates, after.state))
    return refuse(after, "a state cannot go back from " + before.state + " to " + after.state);
  return {};
}

Result<void> check_row(Database& db, const KeyRow& row) {
  if (row.key.empty() || row.version == 0 || row.token.empty() || row.cka_id == 0)
    return refuse(row, "key, version, token and CKA_ID are needed");
  if (!from_spelling(kVersionStates, row.state)) return refuse(row, "unknown state " + row.state);
  const std::string by_version = std::string{kSelectKeys} + "WHERE key = ? AND version = ?";
  TRY(Statement same, db.prepare(by_version.c_str()));
  TRY(const bool known, same.bind(row.key).bind(std::int64_t{row.version}).step());
  if (known) return check_succession(read_row(same), row);
  TRY(Statement taken, db.prepare("SELECT key FROM key_version WHERE token = ? AND cka_id = ?"));
  TRY(const bool reused, taken.bind(row.token).bind(std::int64_t{row.cka_id}).step());
  if (reused)
    return refuse(row, "CKA_ID " + std::to_string(row.cka_id) + " was given to " + taken.text(0));
  return {};
}

Result<void> write_row(Database& db, const KeyRow& row) {
  // Not INSERT OR REPLACE: that would delete whichever row has the CKA_ID.
  TRY(Statement insert,
      db.prepare("INSERT INTO key_version VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                 "ON CONFLICT (key, version) DO UPDATE SET roles = excluded.roles, "
                 "kcv = excluded.kcv, state = excluded.state, owner = excluded.owner, "
                 "activated = excluded.activated, ended = excluded.ended"));
  insert.bind(row.key).bind(std::int64_t{row.version}).bind(row.token);
  insert.bind(std::int64_t{row.cka_id});
  for (const std::string* text :
       {&row.api_key_id, &row.environment, &row.scope, &row.roles, &row.nonce_form, &row.kcv,
        &row.state, &row.owner, &row.created, &row.activated, &row.ended})
    insert.bind(*text);
  TRY_VOID(insert.step());
  return {};
}

}  // namespace

struct Store::Impl {
  std::unique_ptr<Database> db;
};

Store::Store(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(const std::string& path) {
  TRY_VOID(make_file(path));
  TRY(std::unique_ptr<Database> opened, Database::open(path));
  Database& db = *opened;
  TRY_VOID(configure(db));
  TRY_VOID(prepare_schema(db, path));
  std::unique_ptr<Store> store{new Store{std::make_unique<Impl>(Impl{std::move(opened)})}};
  // A new epoch before anything is promised: reservations of earlier processes cannot be settled.
  TRY(const std::string epoch, db.transaction([&]() -> Result<std::string> {
    TRY_VOID(db.run("UPDATE run SET epoch = epoch + 1"));
    return db.value("SELECT epoch FROM run");
  }));
  store->epoch_ = std::stoull(epoch);
  return store;
}

Result<Reservation> Store::reserve(std::string_view scope, Uint128 at_least_last) {
  Database& db = *impl_->db;
  return db.transaction([&]() -> Result<Reservation> {
    TRY(const std::optional<Mark> found, read_mark(db, scope));
    Mark mark = found.value_or(Mark{});
    if (mark.last == ~Uint128{0}) return fail(Code::internal, "a mark is at its end");
    const Uint128 first = mark.last + 1;
    if (mark.epoch != epoch_) mark.floor = mark.last;
    mark.epoch = epoch_;
    mark.last = std::max(mark.last, at_least_last);
    TRY_VOID(write_mark(db, scope, mark));
    return Reservation{.first = first, .last = mark.last, .epoch = epoch_};
  });
}

Result<void> Store::settle(std::string_view scope, Uint128 last, std::uint64_t epoch) {
  Database& db = *impl_->db;
  return db.transaction([&]() -> Result<void> {
    TRY(const std::optional<Mark> found, read_mark(db, scope));
    if (!found || epoch != epoch_ || found->epoch != epoch)
      return fail(Code::internal, "a reservation of another run cannot be given back");
    if (last > found->last) return fail(Code::internal, "more was used than was reserved");
    Mark mark = *found;
    mark.last = std::max(last, mark.floor);
    return write_mark(db, scope, mark);
  });
}

Result<Uint128> Store::raise(std::string_view scope, Uint128 at_least) {
  Database& db = *impl_->db;
  return db.transaction([&]() -> Result<Uint128> {
    TRY(const std::optional<Mark> found, read_mark(db, scope));
    Mark mark = found.value_or(Mark{});
    const Uint128 before = mark.last;
    if (at_least <= std::min(mark.last, mark.floor)) return before;
    mark.last = std::max(mark.last, at_least);
    mark.floor = std::max(mark.floor, at_least);
    TRY_VOID(write_mark(db, scope, mark));
    return before;
  });
}

Result<void> Store::forget(std::string_view scope) {
  if (scope.starts_with("nonce/"))
    return fail(Code::internal, "the mark of a nonce is never forgotten");
  Database& db = *impl_->db;
  return db.transaction([&]() -> Result<void> {
    TRY(Statement remove, db.prepare("DELETE FROM mark WHERE scope = ?"));
    TRY_VOID(remove.bind(scope).step());
    return {};
  });
}

Result<void> Store::put_keys(const std::vector<KeyRow>& rows) {
  Database& db = *impl_->db;
  return db.transaction([&]() -> Result<void> {
    for (const KeyRow& row : rows) {
      TRY_VOID(check_row(db, row));
      TRY_VOID(write_row(db, row));
    }
    return {};
  });
}

Result<std::vector<KeyRow>> Store::keys() {
  const std::string all = std::string{kSelectKeys} + "ORDER BY key, version";
  TRY(Statement query, impl_->db->prepare(all.c_str()));
  std::vector<KeyRow> rows;
  for (;;) {
    TRY(const bool more, query.step());
    if (!more) return rows;
    rows.push_back(read_row(query));
  }
}

Result<void> Store::put_note(std::string_view kind, std::string_view name, std::string_view value) {
  if (kind.empty() || kind.size() > kNoteNameLimit || name.size() > kNoteNameLimit ||
      value.size() > kNoteValueLimit)
    return fail(Code::internal, "a note was refused",
                std::to_string(kind.size()) + ", " + std::to_string(name.size()) + " and " +
                    std::to_string(value.size()) + " bytes of kind, name and value");
  Database& db = *impl_->db;
  return db.transaction([&]() -> Result<void> {
    TRY(Statement insert, db.prepare("INSERT OR REPLACE INTO note VALUES (?, ?, ?)"));
    TRY_VOID(insert.bind(kind).bind(name).bind(value).step());
    return {};
  });
}

Result<void> Store::erase_note(std::string_view kind, std::string_view name) {
  Database& db = *impl_->db;
  return db.transaction([&]() -> Result<void> {
    TRY(Statement remove, db.prepare("DELETE FROM note WHERE kind = ? AND name = ?"));
    TRY_VOID(remove.bind(kind).bind(name).step());
    return {};
  });
}

Result<std::vector<Note>> Store::notes(std::string_view kind) {
  TRY(Statement query,
      impl_->db->prepare("SELECT name, value FROM note WHERE kind = ? ORDER BY name"));
  query.bind(kind);
  std::vector<Note> notes;
  for (;;) {
    TRY(const bool more, query.step());
    if (!more) return notes;
    notes.push_back({.name = query.text(0), .value = query.text(1)});
  }
}

}  // namespace hsm::state

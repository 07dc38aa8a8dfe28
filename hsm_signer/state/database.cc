#include "hsm_signer/state/database.h"

#include <array>

namespace hsm::state {

Statement& Statement::bind(std::string_view text) {
  const int code = sqlite3_bind_text64(statement_.get(), ++bound_, text.data(), text.size(),
                                       SQLITE_TRANSIENT, SQLITE_UTF8);
  if (trouble_ == SQLITE_OK) trouble_ = code;
  return *this;
}

Statement& Statement::bind(std::int64_t number) {
  const int code = sqlite3_bind_int64(statement_.get(), ++bound_, number);
  if (trouble_ == SQLITE_OK) trouble_ = code;
  return *this;
}

Statement& Statement::bind(Uint128 number) {
  std::array<unsigned char, 16> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<unsigned char>(number >> (120 - 8 * i));
  const int code =
      sqlite3_bind_blob64(statement_.get(), ++bound_, bytes.data(), bytes.size(), SQLITE_TRANSIENT);
  if (trouble_ == SQLITE_OK) trouble_ = code;
  return *this;
}

Result<bool> Statement::step() {
  const int code = trouble_ != SQLITE_OK ? trouble_ : sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return fail(database_->error(code));
}

std::string Statement::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

Result<Uint128> Statement::uint128(int column) const {
  const auto* bytes =
      static_cast<const unsigned char*>(sqlite3_column_blob(statement_.get(), column));
  if (bytes == nullptr || sqlite3_column_bytes(statement_.get(), column) != 16)
    return fail(database_->error(SQLITE_CORRUPT));
  Uint128 number = 0;
  for (int i = 0; i < 16; ++i) number = number << 8 | bytes[i];
  return number;
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path) {
  std::unique_ptr<Database> database{new Database{path}};
  const int code =
      sqlite3_open_v2(path.c_str(), &database->db_,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  if (code != SQLITE_OK) return fail(database->error(code));
  return database;
}

Result<void> Database::run(const char* sql) {
  const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return fail(error(code));
  return {};
}

Result<Statement> Database::prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v2(db_, sql, -1, &statement, nullptr);
  if (code != SQLITE_OK) return fail(error(code));
  return Statement{*this, statement};
}

Result<std::string> Database::value(const char* sql) {
  TRY(Statement statement, prepare(sql));
  TRY(const bool row, statement.step());
  if (!row) return fail(error(SQLITE_CORRUPT));
  return statement.text(0);
}

Error Database::error(int sqlite_code) const {
  const auto made = [&](std::string_view what, std::string_view advice) {
    return Error{.code = Code::state_unavailable,
                 .what = what,
                 .detail = path_ + std::string{advice} + " (" + sqlite3_errstr(sqlite_code) + ", " +
                           std::to_string(sqlite_code) + ")"};
  };
  switch (sqlite_code & 0xff) {  // https://www.sqlite.org/rescode.html: the primary code.
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return made("another process has the state database", "");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return made("the state database is damaged",
                  "; move it away as evidence and restore it from a backup: nonce marks are raised "
                  "from the audit log at start");
    case SQLITE_FULL:
      return made("the disk of the state database is full", "; works again once there is space");
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      return made("cannot write the state database",
                  "; its directory and files must be writable by this user");
    default:
      return made("the state database failed", "");
  }
}

}  // namespace hsm::state

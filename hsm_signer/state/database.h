// SQLite behind Result: a connection, statements, transactions. Inside the room.
#pragma once

#include <sqlite3.h>

#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

#include "hsm_signer/base/decimal.h"
#include "hsm_signer/base/result.h"

namespace hsm::state {

class Database;

// One prepared statement, bound by position from 1 in the order of bind() calls. Move-only: the
// statement is finalised once.
class Statement {
 public:
  Statement& bind(std::string_view text);
  Statement& bind(std::int64_t number);
  // 16 bytes, big-endian, so that SQLite compares them as numbers.
  Statement& bind(Uint128 number);

  // True: there is a row to read. False: done. Errors of bind() come here too.
  Result<bool> step();
  std::string text(int column) const;
  std::int64_t integer(int column) const;
  // state_unavailable where the column does not hold 16 bytes.
  Result<Uint128> uint128(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  Statement(const Database& database, sqlite3_stmt* statement)
      : database_{&database}, statement_{statement} {}

  const Database* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int bound_ = 0;
  int trouble_ = SQLITE_OK;
};

class Database {
 public:
  // An existing file, for reading and writing, by this thread of the moment.
  static Result<std::unique_ptr<Database>> open(const std::string& path);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database() { sqlite3_close(db_); }

  Result<void> run(const char* sql);
  Result<Statement> prepare(const char* sql);
  // The only column of the only row, as text.
  Result<std::string> value(const char* sql);

  // state_unavailable, with what an operator may do about it.
  Error error(int sqlite_code) const;

  // All of `work` or nothing of it.
  template <class Work>
  auto transaction(Work work) -> std::invoke_result_t<Work> {
    TRY_VOID(run("BEGIN IMMEDIATE"));
    auto result = work();
    if (result) {
      if (auto committed = run("COMMIT"); !committed) result = fail(committed.error());
    }
    // After a failed COMMIT too, or the next BEGIN would be inside this one. SQLite may have rolled
    // back by itself (https://www.sqlite.org/lang_transaction.html), hence no look at the answer.
    if (!result && sqlite3_get_autocommit(db_) == 0) (void)run("ROLLBACK");
    return result;
  }

 private:
  explicit Database(std::string path) : path_{std::move(path)} {}

  const std::string path_;
  sqlite3* db_ = nullptr;
};

}  // namespace hsm::state

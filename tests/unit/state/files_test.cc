// The file: what is refused at opening, and a disk that stops and starts working again.
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "hsm_signer/state/store.h"
#include "tests/support/child.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"

namespace hsm::state {
namespace {

using ::testing::HasSubstr;

constexpr uid_t kSomebody = 65533;  // Unprivileged, and not nobody (65534).

class StateFiles : public ::testing::Test {
 protected:
  // As another program would see the file.
  void run_sql(const std::string& sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    char* message = nullptr;
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &message), SQLITE_OK)
        << (message != nullptr ? message : "");
    sqlite3_free(message);
    sqlite3_close(db);
  }

  const TempDir dir_;
  const std::string path_ = dir_ / "var/state.db";
};

TEST_F(StateFiles, AreMadeForThisUserAlone) {
  const mode_t umask_before = ::umask(0);
  const auto store = Store::open(path_);
  ::umask(umask_before);
  ASSERT_THAT(store, Succeeds());
  ASSERT_THAT((*store)->reserve("a", 1), Succeeds());
  struct stat status {};
  ASSERT_EQ(::stat((dir_ / "var").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0700U);
  for (const char* suffix : {"", "-wal"}) {
    ASSERT_EQ(::stat((path_ + suffix).c_str(), &status), 0) << suffix;
    EXPECT_EQ(status.st_mode & 07777U, 0600U) << suffix;
  }
}

TEST_F(StateFiles, NameTheirApplicationAndSchema) {
  ASSERT_THAT(Store::open(path_), Succeeds());
  std::ifstream file{path_, std::ios::binary};
  std::string header(100, '\0');
  file.read(header.data(), 100);
  EXPECT_EQ(header.substr(60, 4), std::string("\0\0\0\2", 4));
  EXPECT_EQ(header.substr(68, 4), "HSMS");
}

TEST_F(StateFiles, OfANewerSchemaAreRefusedAndLeftAlone) {
  ASSERT_THAT(Store::open(path_), Succeeds());
  for (const char* other : {"3", "99", "-1"}) {
    run_sql(std::string{"PRAGMA user_version = "} + other);
    EXPECT_THAT(Store::open(path_),
                ErrorIs(Code::state_unavailable,
                        HasSubstr(std::string{"has version "} + other + ", this program knows 2")));
  }
  run_sql("PRAGMA user_version = 2");
  EXPECT_EQ((*Store::open(path_))->epoch(), 2U);
}

// As the release before wrote it, to the letter.
constexpr const char* kDatabaseOfSchema1 = R"sql(
  CREATE TABLE run (epoch INTEGER NOT NULL) STRICT;
  INSERT INTO run VALUES (41);
  CREATE TABLE mark (
    scope TEXT PRIMARY KEY,
    last BLOB NOT NULL CHECK (length(last) = 16),
    floor BLOB NOT NULL CHECK (length(floor) = 16),
    epoch INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  INSERT INTO mark VALUES ('nonce/account-a', x'000000000000000000000000000004d2', zeroblob(16), 41);
  CREATE TABLE key_version (
    key TEXT NOT NULL, version INTEGER NOT NULL,
    token TEXT NOT NULL, cka_id INTEGER NOT NULL,
    api_key_id TEXT NOT NULL, environment TEXT NOT NULL, scope TEXT NOT NULL, roles TEXT NOT NULL,
    nonce_form TEXT NOT NULL, kcv TEXT NOT NULL, state TEXT NOT NULL, owner TEXT NOT NULL,
    created TEXT NOT NULL, activated TEXT NOT NULL, ended TEXT NOT NULL,
    PRIMARY KEY (key, version), UNIQUE (token, cka_id)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO key_version VALUES ('desk-a.trade', 1, 'desk', 1, 'account-a', 'sandbox', 'account',
    'trader', 'signer-ms', '0011223344556677', 'active', '', '2026-11-23T19:15:02.123456Z', '', '');
  PRAGMA application_id = 1213418835;
  PRAGMA user_version = 1;
)sql";

TEST_F(StateFiles, OfSchema1KeepWhatTheyHoldAndTakeNotes) {
  std::filesystem::create_directory(dir_ / "var");
  run_sql(kDatabaseOfSchema1);
  {
    const auto store = Store::open(path_);
    ASSERT_THAT(store, Succeeds());
    EXPECT_EQ((*store)->epoch(), 42U);
    EXPECT_EQ((*store)->reserve("nonce/account-a", 2000)->first, 1235U);
    ASSERT_EQ((*store)->keys()->size(), 1U);
    EXPECT_EQ((*store)->keys()->front().api_key_id, "account-a");
    EXPECT_THAT((*store)->put_note("switch", "all", "frozen"), Succeeds());
  }
  EXPECT_EQ(*(*Store::open(path_))->notes("switch"), (std::vector<Note>{{"all", "frozen"}}));
}

TEST_F(StateFiles, OfSchema1StayAsTheyAreWhereTheStepFails) {
  std::filesystem::create_directory(dir_ / "var");
  run_sql(kDatabaseOfSchema1);
  run_sql("CREATE TABLE note (somebody_elses TEXT)");
  EXPECT_THAT(Store::open(path_), ErrorIs(Code::state_unavailable));
  run_sql("DROP TABLE note");
  EXPECT_EQ((*Store::open(path_))->epoch(), 42U);
}

TEST_F(StateFiles, OfAnotherProgramAreRefused) {
  std::filesystem::create_directory(dir_ / "var");
  run_sql("CREATE TABLE mark (x)");
  EXPECT_THAT(Store::open(path_),
              ErrorIs(Code::state_unavailable, HasSubstr("not a state database of this program")));
  run_sql("PRAGMA application_id = 7; PRAGMA user_version = 1");
  EXPECT_THAT(Store::open(path_), ErrorIs(Code::state_unavailable, HasSubstr("not a state")));
}

TEST_F(StateFiles, ThatAreDamagedAreRefused) {
  std::filesystem::create_directory(dir_ / "var");
  std::ofstream{path_} << std::string(8192, 'x');
  EXPECT_THAT(Store::open(path_), ErrorIs(Code::state_unavailable, HasSubstr("damaged")));
  std::filesystem::remove(path_);

  ASSERT_THAT((*Store::open(path_))->reserve("a", 1), Succeeds());
  std::filesystem::remove(path_ + "-wal");
  {
    std::fstream file{path_, std::ios::binary | std::ios::in | std::ios::out};
    file.seekp(3 * 4096);  // Of the key rows: opening has no other reason to look there.
    file << std::string(4096, '\xa5');
  }
  EXPECT_THAT(Store::open(path_), ErrorIs(Code::state_unavailable, HasSubstr("damaged")));
}

TEST_F(StateFiles, ThatAnotherProcessHasAreRefusedUntilItEnds) {
  auto first = Store::open(path_);
  ASSERT_THAT(first, Succeeds());
  const auto second = [&] {
    return in_child([&] {
             const auto store = Store::open(path_);
             if (store) return 0;
             return store.error().sentence().starts_with("another process has") ? 1 : 2;
           })
        .status;
  };
  EXPECT_EQ(second(), 1);
  first->reset();
  EXPECT_EQ(second(), 0);
}

TEST_F(StateFiles, WhereNobodyMayWriteAreRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  ASSERT_THAT(Store::open(path_), Succeeds());
  ASSERT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
  const auto as_somebody = [&](const std::string& path) {
    return in_child([&] {
             if (::setgid(kSomebody) != 0 || ::setuid(kSomebody) != 0) return 10;
             const auto store = Store::open(path);
             if (store) return 0;
             return store.error().code == Code::state_unavailable ? 1 : 2;
           })
        .status;
  };
  EXPECT_EQ(as_somebody(path_), 1);            // A directory that they may not enter.
  EXPECT_EQ(as_somebody(dir_ / "new.db"), 1);  // One that they may not write.
  EXPECT_EQ(as_somebody(dir_ / "new/s.db"), 1);
  ASSERT_EQ(::chmod((dir_ / "var").c_str(), 0755), 0);
  ASSERT_EQ(::chmod(path_.c_str(), 0644), 0);
  EXPECT_EQ(as_somebody(path_), 1);  // A file that they may only read.
  ASSERT_EQ(::chown(path_.c_str(), kSomebody, kSomebody), 0);
  EXPECT_EQ(as_somebody(path_), 1);  // No room for the write-ahead log beside it.
  ASSERT_EQ(::chown((dir_ / "var").c_str(), kSomebody, kSomebody), 0);
  EXPECT_EQ(as_somebody(path_), 0);
}

TEST_F(StateFiles, WhereThereIsNoDirectoryAreRefused) {
  EXPECT_THAT(Store::open(dir_ / "no/such/state.db"),
              ErrorIs(Code::state_unavailable, HasSubstr("cannot make the state directory")));
  EXPECT_THAT(Store::open(dir_.path()), ErrorIs(Code::state_unavailable));
}

// A file size limit with SIGXFSZ ignored stands for the full disk: the same write fails.
TEST_F(StateFiles, WorkAgainOnceThereIsSpace) {
  EXPECT_EQ(in_child([&] {
              std::signal(SIGXFSZ, SIG_IGN);
              auto opened = Store::open(path_);
              if (!opened) return 10;
              Store& store = **opened;
              if (!store.reserve("a", 100)) return 11;
              rlimit limit{};
              ::getrlimit(RLIMIT_FSIZE, &limit);
              const rlimit tight{4096, limit.rlim_max};
              if (::setrlimit(RLIMIT_FSIZE, &tight) != 0) return 12;
              for (int i = 0; i < 3; ++i) {
                const auto refused = store.reserve("a", 200);
                if (refused || refused.error().code != Code::state_unavailable) return 13;
              }
              if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 14;
              const auto again = store.reserve("a", 300);
              return again && again->first == 101 && again->last == 300 ? 0 : 15;
            }).status,
            0);
  EXPECT_EQ((*Store::open(path_))->reserve("a", 0)->last, 300U);
}

}  // namespace
}  // namespace hsm::state

#include "hsm_signer/service/anchor_start.h"

#include <boost/asio/post.hpp>
#include <filesystem>

#include "hsm_signer/audit/merkle.h"
#include "hsm_signer/service/past.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"

namespace hsm::service {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class AnchorStartTest : public ::testing::Test {
 protected:
  AnchorStartTest() {
    std::filesystem::create_directory(dir_ / "audit");
    config_.audit = dir_ / "audit";
    config_.audit_key = dir_ / "audit.pub.pem";
    config_.audit_anchor = dir_ / "anchor";
  }

  std::string note(const audit::TestKey& key, std::uint64_t size) const {
    return key.note(size, audit::leaf_hash("root"));
  }
  void write(const std::string& text) { audit::spit(config_.audit_anchor, text); }
  void remember(std::uint64_t size) {
    ASSERT_THAT(wait_for_state<Uint128>(io_,
                                        [&](state::State::Done<Uint128> done) {
                                          state_->raise(anchored_scope(config_.audit_anchor), size,
                                                        std::move(done));
                                        }),
                Succeeds());
  }
  Result<AnchorAtStart> open(bool log_is_lost = false) {
    ::testing::internal::CaptureStderr();
    auto start = open_anchor(io_, *state_, config_, log_is_lost);
    said_ = ::testing::internal::GetCapturedStderr();
    return start;
  }

  const TempDir dir_;
  const audit::TestKey key_;
  SignerConfig config_;
  boost::asio::io_context io_;
  std::unique_ptr<state::State> state_ = *state::State::open(
      dir_ / "state/state.db",
      [this](std::function<void()> work) { boost::asio::post(io_, std::move(work)); });
  std::string said_;
};

TEST_F(AnchorStartTest, WithoutAFileInTheConfigurationThereIsNothingToSay) {
  config_.audit_anchor.clear();
  const auto start = open();
  ASSERT_THAT(start, Succeeds());
  EXPECT_EQ(start->file, nullptr);
  EXPECT_EQ(said_, "");
}

TEST_F(AnchorStartTest, GivesTheHeadThatTheLogHasToHold) {
  audit::spit(config_.audit_key, key_.public_pem());
  write(note(key_, 3) + "\n" + note(key_, 8) + "\n");
  remember(8);
  const auto start = open();
  ASSERT_THAT(start, Succeeds());
  ASSERT_EQ(start->heads.size(), 1U);
  EXPECT_EQ(start->heads[0].head, (audit::Head{.size = 8, .root = audit::leaf_hash("root")}));
  EXPECT_EQ(start->heads[0].where, config_.audit_anchor);
  EXPECT_NE(start->file, nullptr);
  EXPECT_EQ(start->problem, "");
  EXPECT_EQ(said_.find("<1>"), std::string::npos) << said_;
}

TEST_F(AnchorStartTest, WarnsOnceOfAnAnchorOnTheLogsOwnDevice) {
  ASSERT_THAT(open(), Succeeds());
  EXPECT_THAT(said_, HasSubstr("anchor_beside_log: " + config_.audit_anchor));
}

TEST_F(AnchorStartTest, RefusesTheAuditDirectoryUnderAnotherName) {
  std::filesystem::create_directory_symlink(dir_ / "audit", dir_ / "mnt");
  config_.audit_anchor = dir_ / "mnt/anchor";
  EXPECT_THAT(open(), ErrorIs(Code::usage, HasSubstr("lies in the audit directory")));
}

TEST_F(AnchorStartTest, RefusesAnAnchorThatIsDamaged) {
  write("no note\n\n\n" + note(key_, 3) + "\n");
  EXPECT_THAT(open(), ErrorIs(Code::audit_unavailable,
                              AllOf(HasSubstr("damaged"), HasSubstr(config_.audit_anchor + ":1"))));
}

TEST_F(AnchorStartTest, RefusesANoteOfAnotherKeyWhereTheKeyIsThere) {
  write(note(key_, 3) + "\n");
  {
    const auto without_key = open();
    ASSERT_THAT(without_key, Succeeds());
    EXPECT_EQ(without_key->heads.size(), 1U);
  }
  audit::spit(config_.audit_key, audit::TestKey{}.public_pem());
  EXPECT_THAT(open(),
              ErrorIs(Code::audit_unavailable, AllOf(HasSubstr("not sealed with the audit key"),
                                                     HasSubstr("not signed with this key"))));
  audit::spit(config_.audit_key, "no key");
  EXPECT_THAT(open(), ErrorIs(Code::audit_unavailable));
}

TEST_F(AnchorStartTest, RaisesAnAlarmOverAnAnchorThatVanishedAndMakesNoOther) {
  remember(5);
  const auto start = open();
  ASSERT_THAT(start, Succeeds());
  EXPECT_EQ(start->file, nullptr);
  EXPECT_THAT(start->problem, HasSubstr("is gone"));
  EXPECT_TRUE(start->heads.empty());
  EXPECT_THAT(said_,
              HasSubstr("<1>hsm-signer: anchor_failed: the anchor of the audit log is gone"));
}

TEST_F(AnchorStartTest, RaisesAnAlarmOverAnAnchorThatWasCut) {
  remember(5);
  write(note(key_, 3) + "\n");
  ASSERT_THAT(open(), Succeeds());
  EXPECT_THAT(said_, HasSubstr("<1>hsm-signer: anchor_cut: " + config_.audit_anchor +
                               " covers 3 records, state.db remembers 5"));
  write("");
  ASSERT_THAT(open(), Succeeds());
  EXPECT_THAT(said_, HasSubstr("covers 0 records"));
}

TEST_F(AnchorStartTest, MissesNothingWhereTheLogIsGivenUp) {
  remember(5);
  const auto start = open(true);
  ASSERT_THAT(start, Succeeds());
  EXPECT_NE(start->file, nullptr);
  EXPECT_EQ(said_.find("<1>"), std::string::npos) << said_;
}

TEST_F(AnchorStartTest, MissesNothingUnderAnotherPath) {
  remember(5);
  config_.audit_anchor = dir_ / "another";
  const auto start = open();
  ASSERT_THAT(start, Succeeds());
  EXPECT_NE(start->file, nullptr);
}

TEST_F(AnchorStartTest, AnAnchorGivenUpWithItsLogIsForgotten) {
  remember(5);
  const auto log = audit::Log::open(config_.audit);
  ASSERT_THAT(log, Succeeds());
  ::testing::internal::CaptureStderr();
  ASSERT_THAT(give_up_log(io_, *state_, **log, config_.audit_anchor), Succeeds());
  ::testing::internal::GetCapturedStderr();
  const auto start = open();
  ASSERT_THAT(start, Succeeds());
  EXPECT_NE(start->file, nullptr);
}

}  // namespace
}  // namespace hsm::service

// The verbs prove, check-proof and consistency of `audit`.
#include "hsm_signer/audit/checkpoint.h"
#include "tests/unit/ctl/audit_log.h"

namespace hsm::ctl {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class AuditProofs : public AuditVerbs {
 protected:
  // The n-th note of the log's checkpoints, from 0.
  std::string note(std::size_t n) const {
    std::string text = audit::slurp(log + "/checkpoints");
    std::size_t at = 0;
    for (std::size_t i = 0; i < 2 * n; ++i) at = text.find("\n\n", at) + 2;
    const std::size_t seal = text.find("\n\n", at) + 2;
    return text.substr(at, text.find("\n\n", seal) + 1 - at);
  }
  std::string kept(const std::string& text) const {
    write_text(file("kept.note"), text);
    return file("kept.note");
  }
};

TEST_F(AuditProofs, ProveARecordWithAFileAndTheKeyAlone) {
  write_allowed(9);
  cut_into_two(4);
  const Ran proved = run({"prove", log, "--seq", "3", "--key", pem, "-o", file("3.tlog-proof")});
  ASSERT_EQ(proved.status, 0) << proved.err;
  EXPECT_THAT(proved.out, HasSubstr("record 3 is proven"));
  std::filesystem::remove_all(log);
  const Ran checked = run({"check-proof", file("3.tlog-proof"), "--key", pem});
  EXPECT_EQ(checked.status, 0) << checked.err;
  EXPECT_THAT(checked.out, AllOf(StartsWith(R"({"v":1,"seq":3,)"),
                                 HasSubstr("holds: record 3 of 9 records of hsm-signer/test")));
  const Ran json = run({"check-proof", file("3.tlog-proof"), "--key", pem, "--json"});
  EXPECT_THAT(json.out, AllOf(StartsWith(R"({"ok":true,"seq":3,)"),
                              HasSubstr(R"("record":{"v":1,"seq":3,)")));
}

TEST_F(AuditProofs, AreNotWrittenOverTheLogOrTheKey) {
  write_allowed(3);
  const std::string notes = log + "/checkpoints";
  const std::string before = audit::slurp(notes);
  for (const std::string& output : {notes, log + "/new", log + "//checkpoints", pem}) {
    const Ran ran = run({"prove", log, "--seq", "1", "--key", pem, "-o", output});
    EXPECT_EQ(ran.status, 2) << output;
    EXPECT_THAT(ran.err, HasSubstr("-o ")) << output;
    EXPECT_EQ(run({"report", log, "--key", pem, "-o", output}).status, 2) << output;
  }
  EXPECT_EQ(audit::slurp(notes), before);
  EXPECT_EQ(audit::slurp(pem), key.public_pem());
}

TEST_F(AuditProofs, AreWrittenToStandardOutputWithoutAFile) {
  write_allowed(2);
  EXPECT_THAT(run({"prove", log, "--seq", "1"}).out, StartsWith("c2sp.org/tlog-proof@v1\n"));
  EXPECT_THAT(run({"prove", log, "--seq", "1", "--json"}).out,
              AllOf(StartsWith(R"({"seq":1,"path":[")"),
                    HasSubstr(R"("proof":"c2sp.org/tlog-proof@v1\nextra )")));
}

TEST_F(AuditProofs, DoNotHoldWhenChangedOrUnderAnotherKey) {
  write_allowed(4);
  const std::string text = run({"prove", log, "--seq", "2"}).out;
  write_text(file("p"), text);
  write_text(file("other.pem"), audit::TestKey{}.public_pem());
  EXPECT_EQ(run({"check-proof", file("p"), "--key", file("other.pem")}).status, 4);
  std::string changed = text;
  changed.replace(changed.find("index 1"), 7, "index 2");
  write_text(file("p"), changed);
  const Ran ran = run({"check-proof", file("p"), "--key", pem, "--json"});
  EXPECT_EQ(ran.status, 4);
  EXPECT_THAT(ran.out, HasSubstr(R"("code":"verification_failed")"));
  write_text(file("p"), "nothing of the kind");
  EXPECT_EQ(run({"check-proof", file("p"), "--key", pem}).status, 4);
  EXPECT_EQ(run({"check-proof", file("absent"), "--key", pem}).status, 2);
  EXPECT_EQ(run({"check-proof", file("p")}).status, 2);
  EXPECT_EQ(run({"prove", log, "--seq", "5"}).status, 2);
  EXPECT_EQ(run({"prove", log, "--seq", "x"}).status, 2);
  EXPECT_EQ(run({"prove", log, "--seq", "2", "--key", file("other.pem")}).status, 4);
}

TEST_F(AuditProofs, TellThatTheLogStillContainsWhatWasKept) {
  write_allowed(10, {6});
  for (const std::string& text : {note(0), note(0) + "\n", "\n\n" + note(0)}) {
    const Ran ran = run({"consistency", log, "--checkpoint", kept(text), "--key", pem});
    EXPECT_EQ(ran.status, 0) << ran.err << text;
    EXPECT_THAT(ran.out, HasSubstr("still contains the first 6 records as the checkpoint has them, "
                                   "among 10 records"));
  }
  // A copy of the whole file of them stands for its last one.
  EXPECT_THAT(run({"consistency", log, "--checkpoint", log + "/checkpoints"}).out,
              HasSubstr("the first 10 records as the checkpoint has them, among 10 records"));
  EXPECT_THAT(run({"consistency", log, "--from", "3", "--to", "5"}).out,
              AllOf(HasSubstr("the first 3 records, among 5 records"),
                    HasSubstr("no signature was looked at")));
  EXPECT_THAT(run({"consistency", log, "--from", "3", "--json"}).out,
              AllOf(HasSubstr(R"("from":3,)"), HasSubstr(R"("to":10,)")));
}

TEST_F(AuditProofs, TellThatTheLogWasChangedOrCut) {
  write_allowed(10, {6});
  const std::string old = kept(note(0));
  const std::string text = audit::slurp(segment(1));
  write_allowed(3);
  EXPECT_EQ(run({"consistency", log, "--checkpoint", old}).status, 4);
  // Written anew, sealed anew with the same key.
  std::vector<audit::Record> others;
  for (std::uint64_t i = 1; i <= 10; ++i) others.push_back(audit::allow_record(i + 100, i));
  write(others);
  const Ran ran = run({"consistency", log, "--checkpoint", old, "--key", pem});
  EXPECT_EQ(ran.status, 4);
  EXPECT_THAT(ran.err, HasSubstr("no longer begins as the checkpoint says"));
}

TEST_F(AuditProofs, AreRefusedWhereTheQuestionIsIncomplete) {
  write_allowed(2);
  EXPECT_EQ(run({"consistency", log}).status, 2);
  EXPECT_EQ(run({"consistency", log, "--from", "1", "--checkpoint", kept(note(0))}).status, 2);
  for (const char* number : {"-1", "1x", "99999999999999999999"})
    EXPECT_EQ(run({"consistency", log, "--from", number}).status, 2) << number;
  EXPECT_EQ(run({"consistency", log, "--checkpoint", kept("")}).status, 2);
  EXPECT_EQ(run({"consistency", log, "--checkpoint", kept("no note\n")}).status, 4);
  EXPECT_EQ(run({"consistency", log, "--from", "1", "--to", "1", "-o", file("p")}).status, 2);
}

TEST_F(AuditProofs, OfGrowthTravelAsAFile) {
  write_allowed(10, {6});
  const std::string old = kept(note(0));
  ASSERT_EQ(run({"consistency", log, "--checkpoint", old, "-o", file("growth")}).status, 0);
  std::filesystem::remove_all(log);
  const Ran ran = run({"check-proof", file("growth"), "--key", pem, "--checkpoint", old});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("the first 6 records of 10 records of hsm-signer/test"));
  EXPECT_EQ(run({"check-proof", file("growth"), "--key", pem}).status, 2);
  write_text(old, key.note(6, audit::leaf_hash("x")));
  EXPECT_EQ(run({"check-proof", file("growth"), "--key", pem, "--checkpoint", old}).status, 4);
}

}  // namespace
}  // namespace hsm::ctl

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "hsm_signer/base/ids.h"
#include "hsm_signer/wire/switches.h"
#include "tests/unit/ctl/fixture.h"

namespace hsm::ctl {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using wire::Type;

class KeyCheckTest : public PlayedDirectory {
 protected:
  KeyCheckTest() {
    const auto all = [this](const auto&) { return Result<wire::VersionList>{list()}; };
    admin->on<wire::ListVersions, wire::VersionList>(Type::list_versions, all);
    admin->on<wire::CheckKeys, wire::VersionList>(Type::check_keys, all);
    for (const Type type : {Type::activate_key, Type::forget_key, Type::destroyed_key}) {
      admin->on<wire::KeyVersionRef, wire::Done>(type, [this](const wire::KeyVersionRef& ref) {
        changed.push_back(key_label(ref.key, ref.version));
        return Result<wire::Done>{wire::Done{}};
      });
    }
    token_admin->on<wire::ListObjects, wire::ObjectList>(Type::list, [this](const auto&) {
      wire::ObjectList list{.total = static_cast<std::uint32_t>(objects.size()),
                            .objects = objects};
      return Result<wire::ObjectList>{list};
    });
    token_admin->on<wire::ObjectRef, wire::Done>(Type::destroy, [this](const wire::ObjectRef& ref) {
      destroyed.push_back(ref.label);
      return Result<wire::Done>{wire::Done{}};
    });
  }
  wire::VersionList list() const {
    return {.total = static_cast<std::uint32_t>(versions.size()), .versions = versions};
  }
  std::vector<Type> changes() const {
    std::vector<Type> types = admin->asked();
    std::erase_if(
        types, [](Type type) { return type == Type::list_versions || type == Type::check_keys; });
    return types;
  }

  std::vector<wire::VersionItem> versions;
  std::vector<wire::ObjectItem> objects;
  std::vector<std::string> changed, destroyed;
};

TEST_F(KeyCheckTest, WhatIsAsItShouldBeIsSaidSo) {
  versions = {version(1, "active", "ok")};
  objects = {object(1)};
  const Ran ran = ctl({"key", "check"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, "desk-a.trade.v1: ok\n");
}

TEST_F(KeyCheckTest, WithoutMendNothingIsChanged) {
  versions = {version(1, "staged", "ok"), version(2, "staged", "no such key")};
  objects = {object(1), {"desk-b.v1", 9}};
  const Ran ran = ctl({"key", "check"});
  EXPECT_EQ(ran.status, 4);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("imported but not activated"),
                             HasSubstr("the token does not hold it"),
                             HasSubstr("desk-b.v1: in the token, but not registered"),
                             HasSubstr("--mend puts it right"),
                             HasSubstr("desk-b.v1: in the token, but not registered; --mend --yes "
                                       "destroys it, which cannot be undone\n")));
  EXPECT_TRUE(changes().empty());
  EXPECT_TRUE(destroyed.empty());
}

TEST_F(KeyCheckTest, MendActivatesWhatTheTokenHolds) {
  versions = {version(1, "staged", "ok")};
  objects = {object(1)};
  const Ran ran = ctl({"key", "check", "--mend"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(changes(), std::vector{Type::activate_key});
  EXPECT_EQ(changed, std::vector<std::string>{"desk-a.trade.v1"});
}

TEST_F(KeyCheckTest, MendGivesUpWhatTheTokenDoesNotHold) {
  versions = {version(1, "staged", "no such key"), version(2, "retired", "no such key")};
  EXPECT_EQ(ctl({"key", "check", "--mend"}).status, 0);
  EXPECT_EQ(changes(), (std::vector{Type::forget_key, Type::destroyed_key, Type::destroyed_key}));
}

TEST_F(KeyCheckTest, MendAloneDestroysNothing) {
  versions = {version(1, "staged", "ok")};
  objects = {object(1), {"desk-b.v1", 9}};
  const Ran ran = ctl({"key", "check", "--mend"});
  EXPECT_EQ(ran.status, 4);
  EXPECT_THAT(ran.out, HasSubstr("--mend --yes destroys it, which cannot be undone"));
  EXPECT_EQ(changes(), std::vector{Type::activate_key});
  EXPECT_THAT(destroyed, IsEmpty());
}

TEST_F(KeyCheckTest, MendWithYesDestroysAnObjectThatNobodyKnowsAndLeavesOthersAlone) {
  objects = {{"desk-b.v1", 9}, {"hsm-signer-wrap", 0xff01}};
  const Ran ran = ctl({"key", "check", "--mend", "--yes"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, "desk-b.v1: in the token, but not registered; destroyed in the token\n");
  EXPECT_EQ(destroyed, std::vector<std::string>{"desk-b.v1"});
}

TEST_F(KeyCheckTest, MendWithYesDestroysWhatWasImportedByHalf) {
  versions = {version(1, "staged", "quarantined: the key in the token is not whole")};
  objects = {object(1)};
  EXPECT_EQ(ctl({"key", "check", "--mend"}).status, 4);
  EXPECT_THAT(destroyed, IsEmpty());
  EXPECT_TRUE(changes().empty());
  const Ran ran = ctl({"key", "check", "--mend", "--yes"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("imported by half"));
  EXPECT_EQ(destroyed, std::vector<std::string>{"desk-a.trade.v1"});
  EXPECT_EQ(changes(), (std::vector{Type::forget_key, Type::destroyed_key}));
}

TEST_F(KeyCheckTest, WhatProvesItselfRightBeforeItWouldBeDestroyedStays) {
  versions = {version(1, "staged", "quarantined: the key in the token is not whole")};
  objects = {object(1)};
  admin->on<wire::CheckKeys, wire::VersionList>(Type::check_keys, [this](const auto&) {
    const wire::VersionList before = list();
    versions = {version(1, "staged", "ok")};
    return Result<wire::VersionList>{before};
  });
  const Ran ran = ctl({"key", "check", "--mend", "--yes"});
  EXPECT_EQ(ran.status, 4);
  EXPECT_THAT(ran.out, HasSubstr("it has changed meanwhile, so it stays"));
  EXPECT_THAT(destroyed, IsEmpty());
  EXPECT_TRUE(changes().empty());
}

TEST_F(KeyCheckTest, YesWithoutMendIsRefused) {
  objects = {{"desk-b.v1", 9}};
  const Ran ran = ctl({"key", "check", "--yes"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, HasSubstr("--mend"));
  EXPECT_THAT(destroyed, IsEmpty());
}

// An import runs through between the two questions, whichever comes first.
TEST_F(KeyCheckTest, AKeyImportedDuringTheCheckIsNoOrphan) {
  bool imported = false;
  const auto import = [&] {
    if (std::exchange(imported, true)) return;
    versions = {version(1, "active", "ok")};
    objects = {object(1)};
  };
  admin->on<wire::ListVersions, wire::VersionList>(Type::list_versions, [&](const auto&) {
    const wire::VersionList before = list();
    import();
    return Result<wire::VersionList>{before};
  });
  token_admin->on<wire::ListObjects, wire::ObjectList>(Type::list, [&](const auto&) {
    const wire::ObjectList before{.total = static_cast<std::uint32_t>(objects.size()),
                                  .objects = objects};
    import();
    return Result<wire::ObjectList>{before};
  });
  const Ran ran = ctl({"key", "check", "--mend", "--yes"});
  EXPECT_EQ(ran.status, 0) << ran.out;
  EXPECT_EQ(ran.out, "desk-a.trade.v1: ok\n");
  EXPECT_THAT(destroyed, IsEmpty());
}

TEST_F(KeyCheckTest, WhatIsRegisteredRightBeforeItWouldBeDestroyedStays) {
  objects = {object(1)};
  admin->on<wire::ListVersions, wire::VersionList>(Type::list_versions, [this](const auto&) {
    const wire::VersionList before = list();
    versions = {version(1, "staged", "unchecked")};
    return Result<wire::VersionList>{before};
  });
  const Ran ran = ctl({"key", "check", "--mend", "--yes"});
  EXPECT_EQ(ran.status, 4);
  EXPECT_THAT(ran.out, HasSubstr("registered meanwhile, so it stays"));
  EXPECT_THAT(destroyed, IsEmpty());
}

TEST_F(KeyCheckTest, WorkersAreAskedPageByPage) {
  for (std::uint32_t number = 1; number <= 5; ++number) {
    versions.push_back(version(number, "active", "unchecked"));
    objects.push_back(object(number));
  }
  std::vector<std::uint32_t> offsets;
  admin->on<wire::CheckKeys, wire::VersionList>(Type::check_keys, [&](const wire::CheckKeys& ask) {
    offsets.push_back(ask.offset);
    wire::VersionList page{.total = 5, .versions = {}};
    for (std::uint32_t at = ask.offset; at < std::min(ask.offset + 2, 5U); ++at)
      page.versions.push_back(version(at + 1, "active", "ok"));
    return Result<wire::VersionList>{page};
  });
  const Ran ran = ctl({"key", "check"});
  EXPECT_EQ(ran.status, 0) << ran.out;
  EXPECT_EQ(offsets, (std::vector<std::uint32_t>{0, 2, 4}));
}

TEST_F(KeyCheckTest, AnEmptyPageEndsTheAsking) {
  versions = {version(1, "active", "unchecked")};
  objects = {object(1)};
  admin->on<wire::CheckKeys, wire::VersionList>(Type::check_keys, [](const wire::CheckKeys& ask) {
    wire::VersionList page{.total = 9, .versions = {}};
    if (ask.offset == 0) page.versions = {version(1, "active", "ok")};
    return Result<wire::VersionList>{page};
  });
  EXPECT_EQ(ctl({"key", "check"}).status, 0);
}

TEST_F(KeyCheckTest, AnActiveVersionThatIsGoneIsNotMendedAway) {
  versions = {version(1, "active", "no such key")};
  const Ran ran = ctl({"key", "check", "--mend"});
  EXPECT_EQ(ran.status, 4);
  EXPECT_TRUE(changes().empty());
}

TEST_F(KeyCheckTest, ATokenHostThatIsDownIsSaidAndNothingIsGivenUp) {
  versions = {version(1, "staged", "no worker")};
  token_admin.reset();
  const Ran ran = ctl({"key", "check", "--mend"});
  EXPECT_EQ(ran.status, 4);
  EXPECT_THAT(ran.out, HasSubstr("could not be looked into"));
  EXPECT_TRUE(changes().empty());
}

TEST_F(KeyCheckTest, DestroyRetiresThenDestroysThenRegistersIt) {
  versions = {version(1, "active", "ok"), version(2, "destroyed", "")};
  const Ran ran = ctl({"key", "destroy", "desk-a.trade", "--yes"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(changes(), (std::vector{Type::forget_key, Type::destroyed_key}));
  EXPECT_EQ(destroyed, std::vector<std::string>{"desk-a.trade.v1"});
}

TEST_F(KeyCheckTest, DestroyOfOneVersionLeavesTheOthers) {
  versions = {version(1, "retired", "ok"), version(2, "active", "ok")};
  EXPECT_EQ(ctl({"key", "destroy", "desk-a.trade", "--version", "1", "--yes"}).status, 0);
  EXPECT_EQ(destroyed, std::vector<std::string>{"desk-a.trade.v1"});
  EXPECT_EQ(changes(), std::vector{Type::destroyed_key});
}

TEST_F(KeyCheckTest, WhatTheTokenDidNotDestroyIsNotRegisteredAsDestroyed) {
  versions = {version(1, "active", "ok")};
  token_admin->on<wire::ObjectRef, wire::Done>(Type::destroy, [](const wire::ObjectRef&) {
    return refusal<wire::Done>(Code::token_unavailable, "CKR_DEVICE_ERROR");
  });
  EXPECT_EQ(ctl({"key", "destroy", "desk-a.trade", "--yes"}).status, 3);
  EXPECT_EQ(changes(), std::vector{Type::forget_key});
}

TEST_F(KeyCheckTest, DestroyOfNothingIsRefused) {
  versions = {version(1, "destroyed", "")};
  EXPECT_EQ(ctl({"key", "destroy", "desk-a.trade", "--yes"}).status, 1);
  EXPECT_EQ(ctl({"key", "destroy", "desk-a.trade", "--version", "7", "--yes"}).status, 1);
}

TEST_F(KeyCheckTest, DestroyWithoutATerminalAsksForYes) {
  versions = {version(1, "active", "ok")};
  objects = {object(1)};
  const int before = ::dup(STDIN_FILENO);
  const int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, STDIN_FILENO);
  const Ran ran = ctl({"key", "destroy", "desk-a.trade"});
  ::dup2(before, STDIN_FILENO);
  ::close(before);
  ::close(null);
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, HasSubstr("--yes"));
  EXPECT_TRUE(destroyed.empty());
}

TEST_F(KeyCheckTest, ListShowsEveryVersionInJsonAndAsATable) {
  versions = {version(1, "retired", "unchecked"), version(2, "active", "ok")};
  EXPECT_THAT(ctl({"key", "list"}).out, HasSubstr("KEY           VERSION  STATE"));
  EXPECT_THAT(
      ctl({"key", "list", "--json"}).out,
      HasSubstr(R"({"keys":[{"key":"desk-a.trade","version":1,"label":"desk-a.trade.v1",)"
                R"("token":"dev","cka_id":1,"api_key_id":"account-x","environment":"sandbox",)"
                R"("scope":"account","roles":"trader","nonce":"signer-ms",)"
                R"("key_check":"0011223344556677","state":"retired",)"));
}

TEST_F(KeyCheckTest, AnOptionalNameMayBeOneOfAVerb) {
  for (const char* name : {"status", "up", "list"}) {
    admin->on<wire::ListVersions, wire::VersionList>(
        Type::list_versions, [name](const wire::ListVersions& ask) {
          EXPECT_EQ(ask.key, name);
          return Result<wire::VersionList>{wire::VersionList{.total = 0, .versions = {}}};
        });
    EXPECT_THAT(ctl({"key", "list", name}).err, HasSubstr(std::string{"no such key: "} + name));
  }
}

TEST_F(KeyCheckTest, DestroyTakesNothingOutOfUseWhenTheTokenHostIsAway) {
  versions = {version(1, "active", "ok")};
  token_admin.reset();
  EXPECT_EQ(ctl({"key", "destroy", "desk-a.trade", "--version", "1", "--yes"}).status, 3);
  EXPECT_THAT(changed, IsEmpty());
}

TEST_F(KeyCheckTest, CheckOfAKeyThatIsNotThereIsRefused) {
  EXPECT_EQ(ctl({"key", "check", "desk-z"}).status, 1);
}

TEST_F(KeyCheckTest, ShowOfAKeyThatIsNotThereIsRefused) {
  EXPECT_EQ(ctl({"key", "show", "desk-a.trade"}).status, 1);
}

TEST_F(KeyCheckTest, StatusSaysWhatCannotSignAndExitsThree) {
  wire::Status answer{.version = "0.1.0",
                      .mode = "development",
                      .state = "serving",
                      .audit_size = 12,
                      .signatures = 10,
                      .refusals = 2,
                      .connections = 1,
                      .keys = 1,
                      .problem = {},
                      .tokens = {},
                      .officers = {},
                      .host = {},
                      .audit_warning = {},
                      .anchor = {}};
  answer.tokens.push_back({.token = "dev", .workers = 0, .configured = 2, .problem = "wrong PIN"});
  admin->on<wire::StatusQuery, wire::Status>(
      Type::status, [&](const wire::StatusQuery&) { return Result<wire::Status>{answer}; });
  wire::SwitchList set;
  admin->on<wire::ListSwitches, wire::SwitchList>(
      Type::list_switches,
      [&](const wire::ListSwitches&) { return Result<wire::SwitchList>{set}; });
  const Ran ran = ctl({"status", "--json"});
  EXPECT_EQ(ran.status, 3);
  EXPECT_EQ(ran.out,
            R"({"running":true,"version":"0.1.0","mode":"development","state":"serving",)"
            R"("audit_size":12,"signatures":10,"refusals":2,"connections":1,)"
            R"("turned_away":0,"keys":1,)"
            R"("problem":"","audit_warning":"","officers":"","host":"","approvals":0,"anchor":"",)"
            R"("tokens":[{"token":"dev","running":false,"workers":0,)"
            R"("configured":2,"problem":"wrong PIN"}],"switches":[]})"
            "\n");
  answer.tokens[0] = {.token = "dev", .workers = 2, .configured = 2, .problem = {}};
  EXPECT_EQ(ctl({"status"}).status, 0);
  wire::SwitchItem frozen;
  frozen.kind = "key";
  frozen.name = "desk-a.trade";
  frozen.what = "frozen";
  frozen.since = "2026-11-25T19:00:00.000000Z";
  frozen.lease_until = "2026-11-25T19:10:00.000000Z";
  frozen.lapsed = true;
  set = {.total = 1, .switches = {frozen}};
  EXPECT_THAT(ctl({"status"}).out,
              HasSubstr("switch: key:desk-a.trade: frozen since 2026-11-25T19:00:00.000000Z by uid "
                        "0; lease until 2026-11-25T19:10:00.000000Z, LAPSED\n"));
  answer.problem = "audit: No space left on device";
  EXPECT_EQ(ctl({"status"}).status, 3);
}

TEST_F(KeyCheckTest, StatusWorksWhenNothingRuns) {
  admin.reset();
  const Ran ran = ctl({"status", "--json"});
  EXPECT_EQ(ran.status, 3);
  EXPECT_THAT(ran.out, HasSubstr(R"({"running":false,)"));
  EXPECT_THAT(ran.out, HasSubstr(R"({"daemon":"hsm-tokend-dev","running":false})"));
  EXPECT_THAT(ctl({"status"}).out, HasSubstr("hsm-signerd: down\nhsm-tokend-dev: down\n"));
}

}  // namespace
}  // namespace hsm::ctl

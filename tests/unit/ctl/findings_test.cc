#include "hsm_signer/ctl/findings.h"

#include <gtest/gtest.h>

#include "tests/unit/ctl/fixture.h"

namespace hsm::ctl {
namespace {

// One version and whether the token holds it: what is found, and what would mend it.
struct Row {
  const char* state;
  const char* health;
  bool held;
  const char* sentence;
  Mend mend;
};
const Row kRows[] = {
    {"active", "ok", true, "", Mend::none},
    {"active", "quarantined: wrong key-check value", true, "quarantined: wrong key-check value",
     Mend::none},
    {"active", "no such key", false, "the token does not hold it", Mend::none},
    {"staged", "ok", true, "imported but not activated", Mend::activate},
    {"staged", "no such key", false, "registered, but the token does not hold it",
     Mend::remove_version},
    {"staged", "quarantined: wrong key-check value", true,
     "imported by half: quarantined: wrong key-check value", Mend::destroy_half},
    {"staged", "no worker of the token is up", true, "no worker of the token is up", Mend::none},
    {"draining", "quarantined: wrong key-check value", true, "quarantined: wrong key-check value",
     Mend::none},
    {"draining", "ok", true, "", Mend::none},
    {"retired", "ok", true, "retired, but still in the token; 'key destroy' removes it",
     Mend::none},
    {"retired", "no such key", false, "gone from the token, but not registered as destroyed",
     Mend::remove_version},
};

TEST(FindingsTest, EveryStateAgainstWhatTheTokenHolds) {
  for (const Row& row : kRows) {
    TokenObjects token{.token = "dev", .objects = {}};
    if (row.held) token.objects.push_back(object(1));
    const auto found = compare({version(1, row.state, row.health)}, {token}, "");
    ASSERT_EQ(found.size(), 1u) << row.state;
    EXPECT_EQ(found[0].sentence, row.sentence) << row.state << " " << row.health;
    EXPECT_EQ(found[0].mend, row.mend) << row.state << " " << row.health;
  }
}

TEST(FindingsTest, ATokenThatNobodyCouldLookIntoIsNotTakenForEmpty) {
  const auto found =
      compare({version(1, "staged", "no worker"), version(2, "retired", "x")}, {}, "");
  ASSERT_EQ(found.size(), 2u);
  for (const KeyFinding& finding : found) EXPECT_EQ(finding.mend, Mend::none) << finding.sentence;
  EXPECT_EQ(found[0].sentence, "no worker");
}

TEST(FindingsTest, AnObjectWithTheLabelButAnotherIdIsNotThatVersion) {
  const TokenObjects token{.token = "dev", .objects = {{"desk-a.trade.v1", 9}}};
  const auto found = compare({version(1, "active", "no such key")}, {token}, "");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].sentence, "the token does not hold it");
  EXPECT_EQ(found[1].mend, Mend::destroy_object);
}

TEST(FindingsTest, WhatAWorkerHasJustUsedIsNotTakenForGone) {
  const TokenObjects before{.token = "dev", .objects = {}};
  const auto found =
      compare({version(1, "active", "ok"), version(2, "retired", "ok")}, {before}, "");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_TRUE(found[0].fine()) << found[0].sentence;
  EXPECT_EQ(found[1].mend, Mend::none) << found[1].sentence;
}

TEST(FindingsTest, OnlyObjectsThatAnImportCouldHaveMadeAreOffered) {
  const TokenObjects token{.token = "dev",
                           .objects = {{"hsm-signer-wrap", 0xff01},
                                       {"somebody-elses", 4},
                                       {"desk-b.v3", 5},
                                       {"desk-b.v03", 6},
                                       {"desk-b.v0", 7},
                                       {"Desk.v1", 8},
                                       {".v1", 9}}};
  const auto found = compare({}, {token}, "");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].label, "desk-b.v3");
}

TEST(FindingsTest, ANameLimitsWhatIsOffered) {
  const TokenObjects token{.token = "dev", .objects = {{"desk-b.v3", 5}}};
  EXPECT_TRUE(compare({}, {token}, "desk-a.trade").empty());
}

TEST(FindingsTest, AnObjectOfADestroyedVersionIsAnOrphan) {
  const TokenObjects token{.token = "dev", .objects = {object(1)}};
  const auto found = compare({version(1, "destroyed", "")}, {token}, "");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].mend, Mend::destroy_object);
}

TEST(FindingsTest, TheSameLabelInAnotherTokenIsAnOrphanThere) {
  const TokenObjects dev{.token = "dev", .objects = {object(1)}};
  const TokenObjects other{.token = "other", .objects = {object(1)}};
  const auto found = compare({version(1, "active", "ok")}, {dev, other}, "");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_TRUE(found[0].fine());
  EXPECT_EQ(found[1].token, "other");
}

}  // namespace
}  // namespace hsm::ctl

#include "hsm_signer/token/canaries.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace hsm::token {
namespace {

// Signs with the key; whether it proved itself before.
bool sign(Canaries& canaries, const std::string& label) {
  if (!canaries.due(label)) return false;
  canaries.sang(label);
  return true;
}

TEST(Canaries, OneKeyProvesItselfBeforeEachNthOfItsSignatures) {
  Canaries canaries{4};
  std::string seen;
  for (int i = 0; i < 12; ++i) seen += sign(canaries, "a") ? 'C' : '.';
  EXPECT_EQ(seen, "...C...C...C");
}

TEST(Canaries, HoweverManyKeysTakeTurnsAWorkerMakesFewerThanNSignaturesUnproved) {
  Canaries canaries{8};
  int unproved = 0;
  int most = 0;
  for (int i = 0; i < 1'000; ++i) {
    unproved = sign(canaries, std::to_string(i % 100)) ? 0 : unproved + 1;
    most = std::max(most, unproved);
  }
  EXPECT_EQ(most, 7);
}

TEST(Canaries, NoBusyKeyAnswersForAQuietOne) {
  Canaries canaries{8};
  std::map<std::string, int> unproved;
  int most = 0;
  // 3 and 8 share no factor: whose turn the worker's canary is moves on.
  for (int i = 0; i < 3'000; ++i) {
    const std::string label = i % 3 == 0 ? "quiet" : "busy";
    unproved[label] = sign(canaries, label) ? 0 : unproved[label] + 1;
    most = std::max(most, unproved[label]);
  }
  EXPECT_LE(most, 7);
}

// Eight signatures of others fall between two of the quiet one, so each canary of the worker is
// theirs.
TEST(Canaries, AQuietKeyThatTheWorkersCountNeverMeetsProvesItselfByItsOwn) {
  Canaries canaries{8};
  int quiet = 0;
  for (int i = 0; i < 9 * 8; ++i) {
    const bool proved = sign(canaries, i % 9 == 0 ? "quiet" : "busy");
    if (i % 9 == 0 && proved) ++quiet;
  }
  EXPECT_GE(quiet, 1);
}

TEST(Canaries, StaysDueUntilTheKeyHasProvedItself) {
  Canaries canaries{3};
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(canaries.due("a"));
  EXPECT_TRUE(canaries.due("a"));
  EXPECT_TRUE(canaries.due("b")) << "the worker is overdue with any key";
  canaries.sang("b");
  EXPECT_TRUE(canaries.due("a")) << "and this one with its own";
}

}  // namespace
}  // namespace hsm::token

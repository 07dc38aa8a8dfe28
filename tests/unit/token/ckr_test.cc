#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <ctime>

#include "hsm_signer/token/cryptoki.h"
#include "hsm_signer/token/profile.h"
#include "tests/support/error_is.h"

namespace hsm::token {
namespace {

using ::testing::HasSubstr;

TEST(Ckr, BecomesAnErrorThatKeepsNameAndNumber) {
  const Error error = ck_error("the token does not sign", CKR_DEVICE_REMOVED);
  EXPECT_EQ(error.code, Code::token_unavailable);
  EXPECT_EQ(error.ck_rv, CKR_DEVICE_REMOVED);
  EXPECT_EQ(error.sentence(), "the token does not sign: CKR_DEVICE_REMOVED");
  EXPECT_EQ(ckr_name(0x80000001), "CKR_0x80000001");
}

// What each token says of each event (tokens.md section 6).
TEST(Ckr, HasARemedyThatHoldsForEveryToken) {
  const auto rule = [](CK_RV rv) { return remedy({}, rv); };
  for (const CK_RV rv : {CKR_OBJECT_HANDLE_INVALID, CKR_KEY_HANDLE_INVALID})
    EXPECT_EQ(rule(rv), Remedy::find_again) << ckr_name(rv);
  for (const CK_RV rv : {CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED, CKR_OPERATION_NOT_INITIALIZED})
    EXPECT_EQ(rule(rv), Remedy::retry) << ckr_name(rv);
  for (const CK_RV rv : {CKR_SESSION_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN, CKR_OPERATION_ACTIVE})
    EXPECT_EQ(rule(rv), Remedy::log_in_again) << ckr_name(rv);
  for (const CK_RV rv :
       {CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_TOKEN_NOT_PRESENT})
    EXPECT_EQ(rule(rv), Remedy::re_initialise) << ckr_name(rv);
  for (const CK_RV rv : {CKR_OK, CKR_KEY_SIZE_RANGE, CKR_KEY_FUNCTION_NOT_PERMITTED,
                         CKR_DATA_LEN_RANGE, CKR_PIN_INCORRECT, CKR_PIN_LOCKED, CK_RV{0x80000001}})
    EXPECT_EQ(rule(rv), Remedy::none) << ckr_name(rv);
}

TEST(Ckr, EndsAWorkerOnlyForWhatAFreshProcessMends) {
  EXPECT_TRUE(ends_the_worker(Remedy::log_in_again));
  EXPECT_TRUE(ends_the_worker(Remedy::re_initialise));
  for (const Remedy kept : {Remedy::none, Remedy::retry, Remedy::find_again, Remedy::wait})
    EXPECT_FALSE(ends_the_worker(kept));
}

TEST(Ckr, IsMendedAsTheTokensProfileSays) {
  const auto of = [](const char* name, CK_RV rv) {
    return remedy((*find_profile(name))->exceptions, rv);
  };
  // A YubiHSM's module takes a connector up again by itself, and a fresh process would wait half a
  // minute for the device session of the old one.
  EXPECT_EQ(of("yubihsm", CKR_DEVICE_REMOVED), Remedy::wait);
  EXPECT_EQ(of("softhsm", CKR_DEVICE_REMOVED), Remedy::re_initialise);
  // NSS says so of a handle from before a logout.
  EXPECT_EQ(of("nss", CKR_KEY_SIZE_RANGE), Remedy::log_in_again);
  EXPECT_EQ(of("softhsm", CKR_KEY_SIZE_RANGE), Remedy::none);
  EXPECT_EQ(of("yubihsm", CKR_USER_NOT_LOGGED_IN), Remedy::log_in_again);
}

TEST(Ckr, TellsARefusedPinFromAnotherFailedLogin) {
  for (const CK_RV rv :
       {CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE, CKR_PIN_EXPIRED, CKR_PIN_LOCKED})
    EXPECT_TRUE(is_pin_refusal(rv)) << ckr_name(rv);
  for (const CK_RV rv : {CKR_OK, CKR_DEVICE_ERROR, CKR_SESSION_COUNT, CKR_USER_PIN_NOT_INITIALIZED})
    EXPECT_FALSE(is_pin_refusal(rv)) << ckr_name(rv);
}

TEST(Ckr, TellsAnAttributeThatAnObjectKeepsToItselfFromAnotherFailure) {
  for (const CK_RV rv : {CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_SENSITIVE, CKR_BUFFER_TOO_SMALL})
    EXPECT_TRUE(is_withheld_attribute(rv)) << ckr_name(rv);
  for (const CK_RV rv : {CKR_OK, CKR_DEVICE_ERROR, CKR_SESSION_HANDLE_INVALID, CKR_GENERAL_ERROR,
                         CKR_OBJECT_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN, CKR_HOST_MEMORY})
    EXPECT_FALSE(is_withheld_attribute(rv)) << ckr_name(rv);
}

TEST(Profile, IsKnownOrRefusedWithTheNamesThatAre) {
  for (const char* name : {"softhsm", "generic", "yubihsm", "tpm2", "nss", "opencryptoki"})
    EXPECT_THAT(find_profile(name), Succeeds()) << name;
  for (const char* name : {"", "SoftHSM", "luna"})
    EXPECT_THAT(find_profile(name), ErrorIs(Code::usage, HasSubstr("softhsm, generic, yubihsm")))
        << name;
}

TEST(Profile, SaysOfWhichTokensProductionKeysAreKeptAway) {
  for (const char* name : {"nss", "opencryptoki"})
    EXPECT_FALSE((*find_profile(name))->unfit.empty()) << name;
  for (const char* name : {"generic", "yubihsm", "tpm2"})
    EXPECT_TRUE((*find_profile(name))->unfit.empty()) << name;
}

TEST(Profile, NeverMakesAYubiHsmServeTwoAtOnce) {
  const Profile& yubihsm = **find_profile("yubihsm");
  EXPECT_EQ(yubihsm.most_workers, 1U);
  EXPECT_EQ(yubihsm.depth, 1U);
  EXPECT_EQ(yubihsm.base64_limit, 3'000U);
  EXPECT_GT(yubihsm.restart_delay, std::chrono::seconds{30});
}

TEST(CallDeadlineDeathTest, KillsTheProcessThatStaysInACallAndNoOther) {
  const auto stay = [](std::chrono::milliseconds in_call) {
    const auto timer = KillTimer::create({.call = std::chrono::milliseconds{200}});
    const timespec pause{in_call.count() / 1000, in_call.count() % 1000 * 1'000'000};
    {
      const CallDeadline deadline{*timer};
      ::nanosleep(&pause, nullptr);
    }
    // Longer than the limit: a timer left armed would kill now.
    const timespec after{0, 400'000'000};
    ::nanosleep(&after, nullptr);
    std::_Exit(0);
  };
  EXPECT_EXIT(stay(std::chrono::seconds{20}), ::testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(stay(std::chrono::milliseconds{1}), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace hsm::token

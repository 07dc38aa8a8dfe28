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

// The columns of tokens.md section 6.
TEST(Ckr, HasARemedy) {
  for (const CK_RV rv : {CKR_OBJECT_HANDLE_INVALID, CKR_KEY_HANDLE_INVALID})
    EXPECT_EQ(remedy(rv), Remedy::find_again);
  for (const CK_RV rv :
       {CKR_SESSION_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN, CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED,
        CKR_CRYPTOKI_NOT_INITIALIZED, CKR_TOKEN_NOT_PRESENT, CKR_OPERATION_ACTIVE})
    EXPECT_EQ(remedy(rv), Remedy::new_worker) << ckr_name(rv);
  for (const CK_RV rv : {CKR_OK, CKR_KEY_SIZE_RANGE, CKR_KEY_FUNCTION_NOT_PERMITTED,
                         CKR_DATA_LEN_RANGE, CKR_GENERAL_ERROR})
    EXPECT_EQ(remedy(rv), Remedy::none) << ckr_name(rv);
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

TEST(Profile, IsKnownAndSupportedOrRefusedByName) {
  EXPECT_THAT(find_profile("softhsm"), Succeeds());
  EXPECT_THAT(find_profile("generic"), Succeeds());
  for (const char* name : {"yubihsm", "tpm2", "nss", "opencryptoki"})
    EXPECT_THAT(find_profile(name), ErrorIs(Code::usage, HasSubstr("not supported yet"))) << name;
  for (const char* name : {"", "SoftHSM", "luna"})
    EXPECT_THAT(find_profile(name), ErrorIs(Code::usage, HasSubstr("unknown"))) << name;
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

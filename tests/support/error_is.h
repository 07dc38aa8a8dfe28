// EXPECT_THAT(result, ErrorIs(Code::denied)); EXPECT_THAT(result, ErrorIs(Code::usage,
// HasSubstr("line"))).
#pragma once

#include <gmock/gmock.h>

#include "hsm_signer/base/result.h"

namespace hsm {

MATCHER_P(ErrorIs, code, std::string{"fails with "} + std::string{name(code)}) {
  if (arg) {
    *result_listener << "which succeeded";
    return false;
  }
  *result_listener << "which failed with " << name(arg.error().code) << ": "
                   << arg.error().sentence();
  return arg.error().code == code;
}

MATCHER_P2(ErrorIs, code, sentence,
           std::string{"fails with "} + std::string{name(code)} + " and a matching sentence") {
  if (arg) {
    *result_listener << "which succeeded";
    return false;
  }
  *result_listener << "which failed with " << name(arg.error().code) << ": "
                   << arg.error().sentence();
  return arg.error().code == code &&
         ::testing::ExplainMatchResult(sentence, arg.error().sentence(), result_listener);
}

// For a Result that must hold: prints the error where it does not.
MATCHER(Succeeds, "succeeds") {
  if (arg) return true;
  *result_listener << "which failed with " << name(arg.error().code) << ": "
                   << arg.error().sentence();
  return false;
}

}  // namespace hsm

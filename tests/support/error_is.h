// EXPECT_THAT(result, ErrorIs(Code::denied)); EXPECT_THAT(result, ErrorIs(Code::usage,
// HasSubstr("line"))).
//
// A Result that a test is not content with prints no value, for it may be a MAC or a secret. Those
// themselves are compared as EXPECT_TRUE(a == b): GoogleTest would show the bytes of both.
#pragma once

#include <gmock/gmock.h>

#include <ostream>

#include "hsm_signer/base/result.h"

namespace hsm {

// Found by GoogleTest through the argument's namespace.
template <class T>
void PrintTo(const Result<T>& result, std::ostream* out) {
  if (result)
    *out << "a value";
  else
    *out << name(result.error().code) << ": " << result.error().sentence();
}

MATCHER_P(ErrorIs, code, std::string{"fails with "} + std::string{name(code)}) {
  return !arg && arg.error().code == code;
}

MATCHER_P2(ErrorIs, code, sentence,
           std::string{"fails with "} + std::string{name(code)} + " and a matching sentence") {
  return !arg && arg.error().code == code &&
         ::testing::ExplainMatchResult(sentence, arg.error().sentence(), result_listener);
}

// For a Result that must hold.
MATCHER(Succeeds, "succeeds") { return arg.has_value(); }

}  // namespace hsm

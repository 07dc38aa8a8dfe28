// Where a token does otherwise than the contract suite asks, one row for each test and token. Such
// a test shows what the token does instead; docs/tokens.md has the same table for people.
#pragma once

#include <span>
#include <string_view>

namespace hsm::token {

struct Deviation {
  std::string_view token;  // test::TestToken::name()
  std::string_view test;
  std::string_view does;  // What the test shows.
  std::string_view why;
};

std::span<const Deviation> deviations();
// nullptr: the token does what the test asks.
const Deviation* deviation(std::string_view token, std::string_view test);

}  // namespace hsm::token

// Every message without its C++ type, so that the body of a test is compiled once and not fifty
// times.
#pragma once

#include "tests/support/every_message.h"

namespace hsm::wire {

struct AnyMessage {
  Type type{};
  std::string name;
  std::vector<FieldRule> rules;
  // Frames of three values of it, and what the first two mean (Dump).
  Bytes required_only;
  Bytes whole;
  Bytes defaults;
  std::string required_only_dump;
  std::string whole_dump;
  // decode() and Dump.
  Result<std::string> (*read)(const FrameView& frame) = nullptr;
};

inline constexpr std::uint64_t kAnyId = 77;
const std::vector<AnyMessage>& every_message();

}  // namespace hsm::wire

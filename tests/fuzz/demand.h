// What a fuzzer asserts. A property that does not hold ends the process: libFuzzer then keeps the
// input, and the replay of a corpus fails.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "hsm_signer/base/result.h"

namespace hsm::fuzz {

inline void demand(bool holds, const char* property) {
  if (holds) return;
  std::fprintf(stderr, "property broken: %s\n", property);
  std::abort();
}

// The sentence of an error goes to people and logs: there, and of one line.
inline void demand_sentence(const Error& error) {
  const std::string sentence = error.sentence();
  demand(!sentence.empty(), "a refusal says why");
  demand(sentence.find('\n') == std::string::npos, "a refusal is one line");
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace hsm::fuzz

// Unsigned integers as the protocol writes them, whatever this machine's order.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>

#include "hsm_signer/base/bytes.h"

namespace hsm::wire {

template <std::unsigned_integral T>
void store(std::span<Byte> out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) out[i] = static_cast<Byte>(value >> (8 * i));
}

template <std::unsigned_integral T>
T load(ByteView in) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    value = static_cast<T>(value | static_cast<T>(in[i]) << (8 * i));
  return value;
}

}  // namespace hsm::wire

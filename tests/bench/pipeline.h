// The one client of everything that answers over a socket: so many requests on their way at once,
// everything that a turn has to say in one write.
#pragma once

#include <optional>
#include <span>

#include "hsm_signer/base/os.h"
#include "tests/bench/contender.h"

namespace hsm::bench {

// How to ask and how to understand.
class Dialect {
 public:
  virtual ~Dialect() = default;
  // Appends the request of this slot. A slot has one request on its way at most.
  virtual void ask(unsigned slot, Bytes& out) = 0;
  virtual std::span<Byte> room() = 0;
  virtual void commit(std::size_t size) = 0;
  // The slot that the next whole answer is for; nothing where none is there. With `check` its MAC
  // is verified; a refusal is an error in any case.
  virtual Result<std::optional<unsigned>> next(bool check) = 0;
};

// Blocks. Checks the first answers and those that are left when the time is up.
Result<Samples> pipeline(int socket, Dialect& dialect, unsigned in_flight, const Timing& timing);

}  // namespace hsm::bench

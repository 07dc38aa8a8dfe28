#include "hsm_signer/token/ledger.h"

#include "hsm_signer/wire/little_endian.h"

namespace hsm::token {

void Ledger::record(std::uint16_t cka_id, ByteView message) {
  ++counter_;
  std::array<Byte, 10> numbers;
  wire::store(std::span<Byte>{numbers}, counter_);
  wire::store(std::span<Byte>{numbers}.subspan(8), cka_id);
  digest_ = sha256(digest_, numbers, sha256(message));
}

std::string Ledger::usage_text(std::string_view token) const {
  std::string text{kUsagePrefix};
  text.append(token).append("\n").append(std::to_string(worker_id_)).append("\n");
  text.append(std::to_string(counter_)).append("\n").append(hex_encode(digest_)).append("\n");
  return text;
}

}  // namespace hsm::token

// What a worker has signed, counted and hashed, so that a MAC without audit record is noticed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "hsm_signer/base/hash.h"

namespace hsm::token {

// First line of what a worker signs about itself. No checkpoint begins so: an origin has no blanks.
inline constexpr std::string_view kUsagePrefix = "hsm-signer usage v1\n";

class Ledger {
 public:
  explicit Ledger(std::uint64_t worker_id) : worker_id_{worker_id} {}

  // digest = SHA-256(digest ‖ u64 counter ‖ u16 CKA_ID ‖ SHA-256(message)), integers little-endian,
  // from 32 zero bytes; the counter starts at 1.
  void record(std::uint16_t cka_id, ByteView message);

  std::uint64_t worker_id() const { return worker_id_; }
  std::uint64_t counter() const { return counter_; }
  const Sha256& digest() const { return digest_; }
  // kUsagePrefix, token, worker id, counter, digest in hex: a line each.
  std::string usage_text(std::string_view token) const;

 private:
  std::uint64_t worker_id_;
  std::uint64_t counter_ = 0;
  Sha256 digest_{};
};

}  // namespace hsm::token

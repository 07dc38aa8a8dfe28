// What a worker has signed, counted and hashed, so that a MAC without audit record is noticed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "hsm_signer/base/usage_text.h"

namespace hsm::token {

class Ledger {
 public:
  explicit Ledger(std::uint64_t worker_id) : worker_id_{worker_id} {}

  // `payload`: of the JSON text that was signed, before base64.
  void record(std::string_view label, const Sha256& payload);

  std::uint64_t worker_id() const { return worker_id_; }
  std::uint64_t counter() const { return counter_; }
  const Sha256& digest() const { return digest_; }

 private:
  std::uint64_t worker_id_;
  std::uint64_t counter_ = 0;
  Sha256 digest_{};
};

}  // namespace hsm::token

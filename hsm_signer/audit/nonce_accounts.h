// Whether the nonces of each API key rise from record to record. Inside the room.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hsm_signer/audit/record.h"
#include "hsm_signer/audit/retired.h"

namespace hsm::audit {

class NonceAccounts {
 public:
  // Before the first record: what those came to that are no longer there.
  void resume(const std::vector<RetiredNonce>& nonces);
  std::vector<RetiredNonce> state() const;

  // An allowed signature; why it may not stand here, or nothing.
  std::optional<std::string> allow(const Record& record);

 private:
  struct Account {
    Uint128 units = 0;
    std::string text;
    std::uint64_t unspent = 0;
  };
  std::map<std::string, Account, std::less<>> accounts_;
};

}  // namespace hsm::audit

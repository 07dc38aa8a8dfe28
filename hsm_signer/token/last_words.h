// What workers that are gone had signed in all, in their own words, until a signer has recorded it.
// hsm-signerd may be killed between a MAC and its record: its workers know what it had made.
#pragma once

#include <string>
#include <vector>

#include "hsm_signer/base/result.h"
#include "hsm_signer/wire/token.h"

namespace hsm::token {

// Files `ended-<worker id>` in the token's directory. Nothing in them is secret, and who changes
// one has not the key that signed it.
class LastWords {
 public:
  // Of one answer, and of files at all: who restarts hsm-signerd a thousand times with no seal in
  // between loses the newest, which the log of this process then says.
  static constexpr std::size_t kListed = 16;
  static constexpr std::size_t kKept = 256;

  // `directory` exists.
  explicit LastWords(std::string directory) : directory_{std::move(directory)} {}

  // Errors: state_unavailable; overloaded where kKept are there.
  Result<void> keep(std::uint64_t worker, const wire::SignedUsage& usage);
  // At most kListed, in no order. What cannot be read is left out.
  std::vector<wire::SignedUsage> kept() const;
  void forget(std::uint64_t worker);

 private:
  std::string path_of(std::uint64_t worker) const;
  std::vector<std::string> files() const;

  std::string directory_;
};

}  // namespace hsm::token

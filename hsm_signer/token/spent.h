// Which officers' statements this token has spent: one list for all its workers, that outlives
// them and the machine's power.
#pragma once

#include <string>

#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/officers/quorum.h"

namespace hsm::token {

// The file `spent` of the token's directory. It is small (statements live a day at most) and
// statements are rare, since people sign them: each is added by writing the list anew beside the
// old one, so a crash or a full disk leaves a whole list and there is no torn line to judge.
class SpentStatements {
 public:
  // `directory` exists. A list that is not there is empty; one that is damaged is no reason to stop
  // what needs no officers, so spend() says so. Errors: state_unavailable.
  static Result<SpentStatements> open(const std::string& directory);

  // Durable once it returns, and spent whatever becomes of it: sign only after that. Errors: those
  // of officers::UsedStatements::use(); state_unavailable where the list is damaged or cannot be
  // read or written: whether the statement is spent is then open.
  Result<void> spend(const std::string& id, Clock::Wall expires, Clock::Wall now);

 private:
  SpentStatements(std::string path, OwnedFd directory)
      : path_{std::move(path)}, directory_{std::move(directory)} {}
  Result<officers::UsedStatements> read() const;

  std::string path_;
  OwnedFd directory_;  // What workers lock: a lock on the list itself would be replaced with it.
};

}  // namespace hsm::token

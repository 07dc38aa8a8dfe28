// Officers with Ed25519 keys, by name: their file, and statements that they have signed.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "hsm_signer/officers/statement.h"
#include "tests/unit/officers/test_signer.h"

namespace hsm::test {

class TestOfficers {
 public:
  // allowed_officers: each of these persons in group "officers", with one key.
  std::string file(const std::vector<std::string>& names);
  const officers::TestSigner& key_of(const std::string& name);
  // The statement with a signature of each under it.
  std::string signed_by(const std::vector<std::string>& names,
                        const officers::Statement& statement);

 private:
  std::map<std::string, officers::TestSigner> keys_;
};

// An approval that says just this, for 15 minutes from `now`.
officers::Statement approval(const std::string& id, const std::string& payload, Clock::Wall now);

}  // namespace hsm::test

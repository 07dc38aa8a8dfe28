// What the tests of the contract suite stand on: a vault, and what happens behind its back.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "hsm_signer/token/token_vault.h"
#include "tests/contract/deviations.h"
#include "tests/support/error_is.h"
#include "tests/support/fake_vault.h"
#include "tests/support/test_token.h"

namespace hsm::token {

// The vault, and what another program with the PIN could do behind its back.
class Bench {
 public:
  virtual ~Bench() = default;
  virtual Vault& vault() = 0;
  virtual Result<void> try_plant(const ObjectName& object, ByteView key) = 0;
  void plant(const ObjectName& object, ByteView key) {
    EXPECT_THAT(try_plant(object, key), Succeeds());
  }
  virtual void remove(const ObjectName& object) = 0;
  // Keys come by the token's own tools: import() refuses.
  virtual bool links() const = 0;
};

std::unique_ptr<Bench> fake_bench();
std::unique_ptr<Bench> token_bench();

// One for all tests of a run: made at the first call, with spare keys of the secrets below.
test::TestToken& the_token();

// A test that looks whether its token deviates. The row and the look belong together: one without
// the other fails.
class Deviating : public ::testing::Test {
 protected:
  explicit Deviating(std::string token);
  ~Deviating() override;
  bool deviates();

 private:
  std::string token_;
  const Deviation* row_;
  bool looked_ = false;
};

SecretBytes canonical(std::string_view secret);
KeyRef ref(const ObjectName& object, std::string_view secret);
// No two tests share a name: a token outlives a test.
ObjectName fresh();
// Printable, and like no secret of another length.
std::string secret_of(std::size_t size);

inline constexpr std::size_t kSizes[] = {1, 20, 28, 47, 48, 49, 64, 127, 128, 129, 200};
inline constexpr std::string_view kSecret = "4wNq7sPv1kXz9bTe2Rj6Ym8Lc3Ha";
inline constexpr std::string_view kOther = "another-secret-of-another-key";
// Gemini's documentation signs with it.
inline constexpr std::string_view kDocumented = "1234abcd";

}  // namespace hsm::token

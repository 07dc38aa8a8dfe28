#include "hsm_signer/base/bytes.h"

#include "hsm_signer/base/decimal.h"
#include "hsm_signer/base/hash.h"
#include "hsm_signer/base/ids.h"
#include "hsm_signer/base/log.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/base/toml.h"
#include "tests/support/error_is.h"

namespace hsm {
namespace {

TEST(Base64, RefusesWhatItWouldNotHaveWritten) {
  for (const char* text : {"A", "AAA", "AAA=\n", "AA==AAAA", "AB==", "AAB=", "A===", "====", "AA-_",
                           " AAA", "AAAA\n\n\n\n"})
    EXPECT_THAT(base64_decode_canonical(text), ErrorIs(Code::invalid_payload)) << text;
}

TEST(Base64, RoundTrips) {
  Bytes bytes;
  for (int i = 0; i < 300; ++i) {
    const auto back = base64_decode_canonical(base64_encode(bytes));
    ASSERT_THAT(back, Succeeds());
    EXPECT_EQ(*back, bytes);
    bytes.push_back(static_cast<Byte>(i * 7));
  }
}

}  // namespace
}  // namespace hsm

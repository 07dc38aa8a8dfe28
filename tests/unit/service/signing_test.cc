#include "hsm_signer/service/signing.h"

#include <gtest/gtest.h>

#include "tests/support/error_is.h"

namespace hsm::service {
namespace {

keystore::KeyVersion version_for(Environment environment) {
  keystore::KeyVersion version;
  version.key = {"desk"};
  version.version = 3;
  version.cka_id = 17;
  version.environment = environment;
  return version;
}

// The token host holds a production key to the ceilings of production keys by this word.
TEST(Signing, SaysWhatTheRegistryHasTheKeyFor) {
  for (const Environment environment : {Environment::production, Environment::sandbox}) {
    Signing signing;
    Bytes out;
    ASSERT_THAT(signing.write(R"({"nonce":1})", version_for(environment), "stated", 9, out),
                Succeeds());
    const auto frame = wire::FrameView::parse(ByteView{out}.subspan(wire::kLengthSize));
    ASSERT_THAT(frame, Succeeds());
    const auto request = wire::decode<wire::MacRequest>(*frame);
    ASSERT_THAT(request, Succeeds());
    EXPECT_EQ(request->production, environment == Environment::production);
    EXPECT_EQ(request->label, "desk.v3");
    EXPECT_EQ(request->statements, "stated");
    EXPECT_EQ(as_text(request->message), signing.base64);
  }
}

TEST(Signing, WritesNothingThatIsOverTheLimit) {
  Signing signing;
  Bytes out;
  EXPECT_THAT(signing.write(std::string(6145, ' '), version_for(Environment::sandbox), {}, 9, out),
              ErrorIs(Code::too_large));
  EXPECT_TRUE(out.empty());
}

}  // namespace
}  // namespace hsm::service

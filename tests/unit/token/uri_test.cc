#include "hsm_signer/token/uri.h"

#include <gtest/gtest.h>

#include "tests/support/error_is.h"

namespace hsm::token {
namespace {

const TokenIdentity kDesk{
    .token = "desk", .manufacturer = "SoftHSM project", .model = "SoftHSM v2", .serial = "0a1b"};

TEST(TokenUri, MatchesByEachAttribute) {
  for (const char* text : {"pkcs11:token=desk", "pkcs11:serial=0a1b", "pkcs11:model=SoftHSM%20v2",
                           "pkcs11:manufacturer=SoftHSM%20project",
                           "pkcs11:token=desk;serial=0a1b;model=SoftHSM%20v2"}) {
    const auto uri = TokenUri::parse(text);
    ASSERT_THAT(uri, Succeeds()) << text;
    EXPECT_TRUE(uri->matches(kDesk)) << text;
    EXPECT_EQ(uri->text(), text);
  }
}

TEST(TokenUri, DoesNotMatchWhatDiffersInOneAttribute) {
  for (const char* text : {"pkcs11:token=Desk", "pkcs11:token=des", "pkcs11:token=desk2",
                           "pkcs11:token=desk;serial=ffff", "pkcs11:token=desk;model=other",
                           "pkcs11:token=desk;manufacturer=other"}) {
    const auto uri = TokenUri::parse(text);
    ASSERT_THAT(uri, Succeeds()) << text;
    EXPECT_FALSE(uri->matches(kDesk)) << text;
  }
}

TEST(TokenUri, RefusesWhatIsNoPlainTokenUri) {
  for (const char* text : {
           "",
           "pkcs11:",
           "pkcs12:token=desk",
           "token=desk",
           "PKCS11:token=desk",
           "pkcs11:token=a;token=desk",
           "pkcs11:token=desk;token=desk",
           "pkcs11:serial=1;token=desk;serial=1",
           "pkcs11:token=desk?pin-value=1234",
           "pkcs11:token=desk?pin-source=file:/pin",
           "pkcs11:token=desk?module-path=/tmp/evil.so",
           "pkcs11:token=desk?module-name=evil",
           "pkcs11:token=desk;pin-value=1234",
           "pkcs11:token=desk;module-path=/tmp/evil.so",
           "pkcs11:token=desk;object=key",
           "pkcs11:token=desk;id=%01",
           "pkcs11:token=desk;slot-id=3",
           "pkcs11:token=desk;x-vendor=1",
           "pkcs11:token=desk;Token=other",
           "pkcs11:token=%zz",
           "pkcs11:token",
           "pkcs11:token=",
           "pkcs11:tok%65n=desk",
       }) {
    const auto uri = TokenUri::parse(text);
    EXPECT_THAT(uri, ErrorIs(Code::usage)) << text;
  }
}

// p11-kit drops blanks and reads up to the first NUL: each of these would name another token than
// the one that its author meant.
TEST(TokenUri, RefusesWhatP11KitWouldReadAsAnotherToken) {
  using namespace std::string_view_literals;
  for (const std::string_view text :
       {"pkcs11:token=my desk"sv, "pkcs11:token=desk "sv, "pkcs11:token=desk\n"sv,
        "pkcs11:token=desk\0;serial=1"sv, "pkcs11:token=desk%00"sv, "pkcs11:token=%00desk"sv,
        "pkcs11:token=desk;"sv, "pkcs11:token=a/b"sv, "pkcs11:token=d\xc3\xa9sk"sv,
        "pkcs11:token=desk%6"sv, "pkcs11:token=desk%"sv, "pkcs11:token=%6g"sv}) {
    EXPECT_THAT(TokenUri::parse(text), ErrorIs(Code::usage)) << text;
  }
  EXPECT_THAT(TokenUri::parse("pkcs11:token=d%C3%A9sk%20a%2fb;model=[]:@!$'()*+,=&;serial=-._~"),
              Succeeds());
}

TEST(TokenUri, NeverRepeatsAPinInItsSentence) {
  const auto uri = TokenUri::parse("pkcs11:token=desk?pin-value=hunter2");
  ASSERT_THAT(uri, ErrorIs(Code::usage));
  EXPECT_EQ(uri.error().sentence().find("hunter2"), std::string::npos);
}

}  // namespace
}  // namespace hsm::token

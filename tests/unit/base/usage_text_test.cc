#include "hsm_signer/base/usage_text.h"

#include "tests/support/error_is.h"

namespace hsm {
namespace {

const Sha256 kDigest = sha256(as_bytes("x"));

TEST(UsageText, IsReadAsItIsWritten) {
  for (const UsageText& usage :
       {UsageText{"desk", 0, 0, {}}, UsageText{"", 1, 2, kDigest},
        UsageText{"a b", 18'446'744'073'709'551'615U, 18'446'744'073'709'551'615U, kDigest}}) {
    const std::string text = usage_text(usage.token, usage.worker, usage.count, usage.digest);
    const auto parsed = parse_usage_text(text);
    ASSERT_THAT(parsed, Succeeds());
    EXPECT_EQ(*parsed, usage);
  }
}

TEST(UsageText, HasOneSpelling) {
  const std::string hex = hex_encode(kDigest);
  for (const std::string& text : {
           std::string{},
           std::string{kUsagePrefix},
           "hsm-signer usage v2\nt\n1\n1\n" + hex + "\n",
           "hsm-signer usage v1\nt\n01\n1\n" + hex + "\n",
           "hsm-signer usage v1\nt\n1\n+1\n" + hex + "\n",
           "hsm-signer usage v1\nt\n1\n\n" + hex + "\n",
           "hsm-signer usage v1\nt\n1\n18446744073709551616\n" + hex + "\n",
           "hsm-signer usage v1\nt\n1\n1\n" + hex,
           "hsm-signer usage v1\nt\n1\n1\n" + hex + "\n\n",
           "hsm-signer usage v1\nt\n1\n1\n" + hex.substr(2) + "\n",
           "hsm-signer usage v1\nt\n1\n1\n" + std::string(64, 'A') + "\n",
       })
    EXPECT_THAT(parse_usage_text(text), ErrorIs(Code::invalid_payload)) << text;
}

}  // namespace
}  // namespace hsm

#include "hsm_signer/base/checkpoint_text.h"

#include "tests/support/error_is.h"

namespace hsm {
namespace {

using ::testing::HasSubstr;

const Sha256 kRoot = sha256(as_bytes("root"));

std::string good() { return checkpoint_text("hsm-signer/desk", 20852163, kRoot); }

TEST(CheckpointText, ReadsBackWhatItWrote) {
  const auto parsed = parse_checkpoint_text(good());
  ASSERT_THAT(parsed, Succeeds());
  EXPECT_EQ(*parsed,
            (CheckpointText{.origin = "hsm-signer/desk", .size = 20852163, .root = kRoot}));
  EXPECT_EQ(good(), "hsm-signer/desk\n20852163\n" + base64_encode(kRoot) + "\n");
}

TEST(CheckpointText, TakesTheExampleOfTheSpecification) {
  EXPECT_THAT(is_checkpoint_text("example.com/behind-the-sofa\n20852163\n"
                                 "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"),
              Succeeds());
}

TEST(CheckpointText, TakesAnEmptyTreeAndExtensionLines) {
  EXPECT_THAT(is_checkpoint_text(checkpoint_text("o", 0, sha256({}))), Succeeds());
  const auto parsed = parse_checkpoint_text(good() + "usage 5 abc\nmore\n");
  ASSERT_THAT(parsed, Succeeds());
  EXPECT_EQ(parsed->extensions, (std::vector<std::string>{"usage 5 abc", "more"}));
}

// What a token host must not be talked into signing.
TEST(CheckpointText, RefusesEverythingElse) {
  const std::string root = base64_encode(kRoot);
  const std::vector<std::string> cases{
      "",
      "\n",
      "o\n",
      "o\n1\n",
      "o\n1\n" + root,
      "\n1\n" + root + "\n",
      "o o\n1\n" + root + "\n",
      "o+o\n1\n" + root + "\n",
      "o\xc3\xa9\n1\n" + root + "\n",
      std::string(129, 'o') + "\n1\n" + root + "\n",
      "o\n\n" + root + "\n",
      "o\n01\n" + root + "\n",
      "o\n-1\n" + root + "\n",
      "o\n+1\n" + root + "\n",
      "o\n1 \n" + root + "\n",
      "o\n1e3\n" + root + "\n",
      "o\n18446744073709551616\n" + root + "\n",
      "o\n0\n" + root + "\n",
      "o\r\n1\r\n" + root + "\r\n",
      "o\n1\n\n",
      "o\n1\n" + root.substr(0, 40) + "\n",
      "o\n1\n" + base64_encode(Bytes(31)) + "\n",
      "o\n1\n" + base64_encode(Bytes(33)) + "\n",
      "o\n1\n" + root.substr(0, 42) + "h=\n",  // Pad bits that are not zero.
      "o\n1\n" + root + "\n\n",
      "o\n1\n" + root + "\next",
      "o\n1\n" + root + "\n\xe2\x80\x94 o AAAA\n",
      "o\n1\n" + root + "\n" + std::string(1, '\0') + "\n",
      "o\n1\n" + root + "\n1\n2\n3\n4\n5\n6\n7\n8\n9\n",
      "o\n1\n" + root + "\n" + std::string(1000, 'x') + "\n",
      "{\"request\":\"/v1/withdraw\"}",
      "hsm-signer usage v1\ndesk\n1\n2\nabc\n",
  };
  for (const std::string& text : cases)
    EXPECT_THAT(is_checkpoint_text(text), ErrorIs(Code::invalid_payload)) << text;
}

TEST(CheckpointText, EveryBeginningAndEveryAppendedByteButALineIsRefused) {
  const std::string text = good();
  for (std::size_t size = 0; size < text.size(); ++size)
    EXPECT_THAT(is_checkpoint_text(text.substr(0, size)), ErrorIs(Code::invalid_payload));
  for (int byte = 0; byte < 256; ++byte)
    EXPECT_THAT(is_checkpoint_text(text + static_cast<char>(byte)),
                ErrorIs(Code::invalid_payload, HasSubstr("not a checkpoint text")));
}

}  // namespace
}  // namespace hsm

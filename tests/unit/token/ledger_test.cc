#include "hsm_signer/token/ledger.h"

#include <gtest/gtest.h>

#include "hsm_signer/base/checkpoint_text.h"
#include "hsm_signer/token/status.h"
#include "tests/support/error_is.h"

namespace hsm::token {
namespace {

TEST(Ledger, HashesAsTheProtocolSays) {
  Ledger ledger{7};
  EXPECT_EQ(ledger.counter(), 0U);
  ledger.record(0x0102, as_bytes("message"));
  Bytes input(32, 0);
  for (const int byte : {1, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x01})
    input.push_back(static_cast<Byte>(byte));
  const Sha256 message = sha256(as_bytes("message"));
  input.insert(input.end(), message.begin(), message.end());
  EXPECT_EQ(ledger.counter(), 1U);
  EXPECT_EQ(ledger.digest(), sha256(input));
}

TEST(Ledger, TellsOrderKeyAndMessageApart) {
  const auto digest =
      [](std::initializer_list<std::pair<std::uint16_t, std::string_view>> records) {
        Ledger ledger{7};
        for (const auto& [id, message] : records) ledger.record(id, as_bytes(message));
        return ledger.digest();
      };
  const Sha256 reference = digest({{1, "a"}, {2, "b"}});
  EXPECT_NE(reference, digest({{2, "b"}, {1, "a"}}));
  EXPECT_NE(reference, digest({{1, "a"}, {3, "b"}}));
  EXPECT_NE(reference, digest({{1, "a"}, {2, "c"}}));
  EXPECT_NE(reference, digest({{1, "a"}}));
  EXPECT_EQ(reference, digest({{1, "a"}, {2, "b"}}));
}

TEST(Ledger, WritesAUsageTextThatIsNoCheckpoint) {
  Ledger ledger{42};
  ledger.record(1, as_bytes("x"));
  const std::string text = ledger.usage_text("desk");
  EXPECT_EQ(text, "hsm-signer usage v1\ndesk\n42\n1\n" + hex_encode(ledger.digest()) + "\n");
  EXPECT_THAT(is_checkpoint_text(text), ErrorIs(Code::invalid_payload));
}

TEST(WorkerStatus, IsALineWithAKind) {
  EXPECT_EQ(parse_status("r")->kind, WorkerStatus::Kind::ready);
  EXPECT_EQ(parse_status("s")->kind, WorkerStatus::Kind::has_signed);
  EXPECT_EQ(parse_status("wa key check failed")->kind, WorkerStatus::Kind::wrong_macs);
  const auto refused = parse_status("pCKR_PIN_INCORRECT");
  EXPECT_EQ(refused->kind, WorkerStatus::Kind::pin_refused);
  EXPECT_EQ(refused->sentence, "CKR_PIN_INCORRECT");
  for (const char* text : {"", "\n", "x", " r"})
    EXPECT_THAT(parse_status(text), ErrorIs(Code::internal)) << text;
}

}  // namespace
}  // namespace hsm::token

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
  const Sha256 payload = sha256(as_bytes("payload"));
  ledger.record("desk.v3", payload);
  Bytes input(32, 0);
  for (const int byte : {1, 0, 0, 0, 0, 0, 0, 0}) input.push_back(static_cast<Byte>(byte));
  input.insert(input.end(), payload.begin(), payload.end());
  for (const char c : std::string_view{"desk.v3"}) input.push_back(static_cast<Byte>(c));
  EXPECT_EQ(ledger.counter(), 1U);
  EXPECT_EQ(ledger.digest(), sha256(input));
}

TEST(Ledger, TellsOrderKeyAndPayloadApart) {
  const auto digest =
      [](std::initializer_list<std::pair<std::string_view, std::string_view>> records) {
        Ledger ledger{7};
        for (const auto& [label, payload] : records)
          ledger.record(label, sha256(as_bytes(payload)));
        return ledger.digest();
      };
  const Sha256 reference = digest({{"k.v1", "a"}, {"k.v2", "b"}});
  EXPECT_NE(reference, digest({{"k.v2", "b"}, {"k.v1", "a"}}));
  EXPECT_NE(reference, digest({{"k.v1", "a"}, {"k.v3", "b"}}));
  EXPECT_NE(reference, digest({{"k.v1", "a"}, {"k.v2", "c"}}));
  EXPECT_NE(reference, digest({{"k.v1", "a"}}));
  EXPECT_EQ(reference, digest({{"k.v1", "a"}, {"k.v2", "b"}}));
}

TEST(Ledger, ItsUsageTextIsNoCheckpoint) {
  Ledger ledger{42};
  ledger.record("k.v1", sha256(as_bytes("x")));
  const std::string text = usage_text("desk", 42, 1, ledger.digest());
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

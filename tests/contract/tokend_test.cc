// The real hsm-tokend over its sockets: what it signs, and what it refuses to whoever speaks to it.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "hsm_signer/base/checkpoint_text.h"
#include "hsm_signer/token/ledger.h"
#include "hsm_signer/wire/blob.h"
#include "tests/support/error_is.h"
#include "tests/support/token_host.h"

namespace hsm::token {
namespace {

using test::TokenClient;
using test::TokenHost;
using ::testing::HasSubstr;

constexpr std::string_view kSecret = "1234abcd";
const ObjectName kKey{"desk-a.trade.v1", 1};

wire::KeyCheckValue key_check(std::string_view secret) {
  return wire::key_check_value(
      wire::canonical_secret(SecretBytes::copy_of(as_bytes(secret)))->view());
}

wire::MacRequest mac_of(std::string_view message) {
  return {.label = kKey.label,
          .cka_id = kKey.cka_id,
          .key_check = key_check(kSecret),
          .message = {message.begin(), message.end()},
          .statements = {}};
}

std::string base64(std::string_view json) { return base64_encode(as_bytes(json)); }

bool verifies(ByteView der, ByteView text, ByteView signature) {
  const Byte* at = der.data();
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{
      d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size())), &EVP_PKEY_free};
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free};
  return EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(), text.data(),
                          text.size()) == 1;
}

std::string slurp(const std::string& path) {
  std::ifstream file{path};
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class Tokend : public ::testing::Test {
 protected:
  void SetUp() override {
    host_.start();
    ASSERT_THAT(host_.import(kKey, kSecret), Succeeds());
  }
  TokenHost host_;
};

TEST_F(Tokend, SignsTheDocumentedExampleOfTheExchange) {
  // gemini-api, vector V1.
  TokenClient client = host_.client();
  const auto answer = client.ask<wire::MacAnswer>(
      mac_of("ewogICAgInJlcXVlc3QiOiAiL3YxL29yZGVyL3N0YXR1cyIsCiAgICAibm9uY2UiOiAxMjM0NTYsCgogICAgI"
             "m9yZGVyX2lkIjogMTg4MzQKfQo="));
  ASSERT_THAT(answer, Succeeds());
  EXPECT_TRUE(
      hex_encode(answer->mac) ==
      "337cc8b4ea692cfe65b4a85fcc9f042b2e3f702ac956fd098d600ab15705775017beae402be773ceee1071"
      "9ff70d710f");
}

TEST_F(Tokend, CountsAndHashesWhatItSigns) {
  TokenClient client = host_.client();
  const auto info = client.ask<wire::Info>(wire::InfoQuery{});
  ASSERT_THAT(info, Succeeds());
  Ledger expected{info->worker_id};
  for (int i = 1; i <= 3; ++i) {
    const std::string payload =
        "{\"request\":\"/v1/heartbeat\",\"nonce\":" + std::to_string(i) + "}";
    const auto answer = client.ask<wire::MacAnswer>(mac_of(base64(payload)));
    ASSERT_THAT(answer, Succeeds());
    expected.record(kKey.label, sha256(as_bytes(payload)));
    EXPECT_EQ(answer->worker_id, info->worker_id);
    EXPECT_EQ(answer->counter, static_cast<std::uint64_t>(i));
    EXPECT_EQ(answer->digest, expected.digest());
  }
  const auto usage = client.ask<wire::Usage>(wire::UsageQuery{});
  ASSERT_THAT(usage, Succeeds());
  EXPECT_EQ(usage->text, usage_text("desk", info->worker_id, 3, expected.digest()));
  EXPECT_TRUE(verifies(info->audit_key, as_bytes(usage->text), usage->signature));
}

TEST_F(Tokend, AnswersPipelinedFramesInOrder) {
  TokenClient client = host_.client();
  Bytes frames;
  constexpr std::uint64_t kFrames = 40;
  for (std::uint64_t id = 1; id <= kFrames; ++id) {
    const std::string message =
        base64("{\"request\":\"/v1/heartbeat\",\"nonce\":" + std::to_string(id) + "}");
    ASSERT_THAT(wire::encode(frames, id, mac_of(message)), Succeeds());
  }
  ASSERT_THAT(client.send(frames), Succeeds());
  for (std::uint64_t id = 1; id <= kFrames; ++id) {
    const auto body = client.receive();
    ASSERT_THAT(body, Succeeds());
    const auto frame = wire::FrameView::parse(*body);
    ASSERT_THAT(frame, Succeeds());
    EXPECT_EQ(frame->id(), id);
    EXPECT_EQ(frame->type(), wire::answer_to(wire::Type::mac));
  }
}

// Must not be signed, whoever asks: the ceiling of these keys has no class move, widen or admin.
TEST_F(Tokend, RefusesWhatIsAboveTheCeiling) {
  struct Row {
    const char* what;
    std::string message;
    Code code;
  };
  const Row rows[] = {
      {"a withdrawal",
       base64(R"({"request":"/v1/withdraw/btc","nonce":1,"address":"bc1q","amount":"1"})"),
       Code::denied},
      {"a new withdrawal address",
       base64(
           R"({"request":"/v1/approvedAddresses/bitcoin/request","nonce":1,"address":"bc1q","label":"x"})"),
       Code::denied},
      {"an unknown endpoint", base64(R"({"request":"/v9/anything","nonce":1})"), Code::denied},
      {"a ws-login string", "1700000000", Code::invalid_payload},
      {"a ws-login string in base64", base64("1700000000"), Code::invalid_payload},
      {"arbitrary bytes", std::string("\x00\x01\xff hsm", 7), Code::invalid_payload},
      {"arbitrary text", base64("sign this, please"), Code::invalid_payload},
      {"the key-check text", std::string{wire::kKeyCheckText}, Code::invalid_payload},
      {"nothing", "", Code::invalid_payload},
      {"base64 without padding", "eyJyZXF1ZXN0IjoiL3YxL2hlYXJ0YmVhdCIsIm5vbmNlIjoxMX0",
       Code::invalid_payload},
      {"base64 with a line break", base64(R"({"request":"/v1/heartbeat","nonce":1})") + "\n",
       Code::invalid_payload},
      {"base64 with a non-zero pad bit",
       "eyJyZXF1ZXN0IjoiL3YxL2hlYXJ0YmVhdCIsIm5vbmNlIjoxMX1=", Code::invalid_payload},
      {"a repeated member",
       base64(R"({"request":"/v1/heartbeat","request":"/v1/withdraw/btc","nonce":1})"),
       Code::invalid_payload},
      {"too many bytes", std::string(8 * 1024 + 4, 'A'), Code::too_large},
  };
  TokenClient client = host_.client();
  for (const Row& row : rows) {
    EXPECT_THAT(client.ask<wire::MacAnswer>(mac_of(row.message)), ErrorIs(row.code)) << row.what;
  }
  const auto after =
      client.ask<wire::MacAnswer>(mac_of(base64(R"({"request":"/v1/heartbeat","nonce":1})")));
  ASSERT_THAT(after, Succeeds());
  EXPECT_EQ(after->counter, 1U) << "a refused message was counted as signed";
}

TEST_F(Tokend, LooksAtNoStatementWhereNoneIsDemanded) {
  TokenClient client = host_.client();
  wire::MacRequest request = mac_of(base64(R"({"request":"/v1/heartbeat","nonce":1})"));
  request.statements = "-----BEGIN SSH SIGNATURE-----";
  EXPECT_THAT(client.ask<wire::MacAnswer>(request), Succeeds());
}

TEST_F(Tokend, RefusesAKeyThatIsNotTheRegisteredOne) {
  TokenClient client = host_.client();
  wire::MacRequest request = mac_of(base64(R"({"request":"/v1/heartbeat","nonce":1})"));
  request.key_check[0] ^= 1;
  EXPECT_THAT(client.ask<wire::MacAnswer>(request), ErrorIs(Code::quarantined));
  request = mac_of(base64(R"({"request":"/v1/heartbeat","nonce":1})"));
  request.label = "desk-b.trade.v1";
  EXPECT_THAT(client.ask<wire::MacAnswer>(request), ErrorIs(Code::key_not_active));
}

TEST_F(Tokend, ClosesTheSigningSocketOnAnAdminVerb) {
  const auto closed = ErrorIs(Code::protocol_error, HasSubstr("closed"));
  EXPECT_THAT(host_.client().ask<wire::KeyCheckAnswer>(
                  wire::Import{.label = "x.v1", .cka_id = 9, .blob = {}}),
              closed);
  EXPECT_THAT(
      host_.client().ask<wire::Done>(wire::Type::destroy, wire::ObjectRef{kKey.label, kKey.cka_id}),
      closed);
  EXPECT_THAT(host_.client().ask<wire::Done>(wire::Generate{}), closed);
  EXPECT_THAT(host_.client().ask<wire::PublicKeyAnswer>(wire::WrapKeyQuery{}), closed);
  EXPECT_THAT(host_.client().ask<wire::MacAnswer>(
                  mac_of(base64(R"({"request":"/v1/heartbeat","nonce":1})"))),
              Succeeds());
}

TEST_F(Tokend, ClosesTheAdminSocketOnASigningVerb) {
  const auto closed = ErrorIs(Code::protocol_error, HasSubstr("closed"));
  EXPECT_THAT(host_.admin().ask<wire::MacAnswer>(
                  mac_of(base64(R"({"request":"/v1/heartbeat","nonce":1})"))),
              closed);
  EXPECT_THAT(host_.admin().ask<wire::CheckpointSignature>(wire::SignCheckpoint{"x"}), closed);
  EXPECT_THAT(host_.admin().ask<wire::Info>(wire::InfoQuery{}), closed);
}

TEST_F(Tokend, ClosesOnWhateverComesBeforeTheHello) {
  auto client = TokenClient::connect(host_.socket());
  EXPECT_THAT(client->ask<wire::Info>(wire::InfoQuery{}),
              ErrorIs(Code::protocol_error, HasSubstr("closed")));
  auto other = TokenClient::connect(host_.socket());
  EXPECT_THAT(other->ask<wire::Hello>(wire::Hello{.version = 99, .program = {}}),
              ErrorIs(Code::protocol_error, HasSubstr("closed")));
}

TEST_F(Tokend, ClosesOnABrokenFrame) {
  TokenClient client = host_.client();
  ASSERT_THAT(client.send(Bytes{0xff, 0xff, 0xff, 0xff, 0x41}), Succeeds());
  EXPECT_THAT(client.receive(), ErrorIs(Code::protocol_error, HasSubstr("closed")));
  EXPECT_THAT(host_.client().ask<wire::Info>(wire::InfoQuery{}), Succeeds());
}

TEST_F(Tokend, ClosesWhenHalfAFrameIsFollowedBySilence) {
  TokenClient client = host_.client();
  ASSERT_THAT(client.send(Bytes{0x20, 0x00, 0x00, 0x00, 0x41}), Succeeds());
  EXPECT_THAT(client.receive(std::chrono::seconds{15}),
              ErrorIs(Code::protocol_error, HasSubstr("closed")));
  EXPECT_TRUE(host_.logs("fell silent"));
}

TEST_F(Tokend, ClosesOnAPeerThatConnectsAndSaysNothing) {
  ASSERT_TRUE(host_.logs(": ready"));
  auto silent = TokenClient::connect(host_.admin_socket());
  ASSERT_THAT(silent, Succeeds());
  EXPECT_THAT(silent->receive(std::chrono::seconds{15}),
              ErrorIs(Code::protocol_error, HasSubstr("closed")));
  EXPECT_THAT(host_.admin().ask<wire::Done>(wire::Generate{}), Succeeds());
}

TEST_F(Tokend, SignsACheckpointAndNothingElseWithTheAuditKey) {
  TokenClient client = host_.client();
  const auto info = client.ask<wire::Info>(wire::InfoQuery{});
  const std::string text = checkpoint_text("desk.example/audit", 7, sha256(as_bytes("root")));
  const auto signature = client.ask<wire::CheckpointSignature>(wire::SignCheckpoint{text});
  ASSERT_THAT(signature, Succeeds());
  EXPECT_TRUE(verifies(info->audit_key, as_bytes(text), signature->signature));
  for (const std::string& bad :
       {std::string{}, std::string{"hello"}, text + "\n", usage_text("desk", 7, 0, {}),
        "desk.example/audit\n07\n" + text.substr(text.rfind('\n', text.size() - 2) + 1)}) {
    EXPECT_THAT(client.ask<wire::CheckpointSignature>(wire::SignCheckpoint{bad}),
                ErrorIs(Code::invalid_payload))
        << bad;
  }
}

TEST_F(Tokend, ListsChecksForgetsAndDestroysKeys) {
  TokenClient client = host_.client();
  const auto list = client.ask<wire::ObjectList>(wire::ListObjects{});
  ASSERT_THAT(list, Succeeds());
  ASSERT_EQ(list->total, 1U);
  EXPECT_EQ(list->objects, (std::vector<wire::ObjectItem>{{kKey.label, kKey.cka_id}}));
  const wire::ObjectRef reference{kKey.label, kKey.cka_id};
  const auto check = client.ask<wire::KeyCheckAnswer>(wire::Type::key_check, reference);
  ASSERT_THAT(check, Succeeds());
  EXPECT_EQ(check->key_check, key_check(kSecret));
  const std::string message = base64(R"({"request":"/v1/heartbeat","nonce":1})");
  ASSERT_THAT(client.ask<wire::MacAnswer>(mac_of(message)), Succeeds());
  EXPECT_THAT(client.ask<wire::Done>(wire::Type::forget, reference), Succeeds());
  EXPECT_THAT(host_.admin().ask<wire::Done>(wire::Type::destroy, reference), Succeeds());
  EXPECT_THAT(client.ask<wire::MacAnswer>(mac_of(message)), ErrorIs(Code::key_not_active));
}

TEST_F(Tokend, RefusesBlobsThatAreTruncatedOrForAnotherToken) {
  const auto elsewhere = [] {
    TokenHost other;
    other.start();
    return other.admin().ask<wire::PublicKeyAnswer>(wire::WrapKeyQuery{})->pem;
  }();
  const auto canonical = wire::canonical_secret(SecretBytes::copy_of(as_bytes(kSecret)));
  const Bytes foreign = wire::wrap(*canonical, elsewhere)->encode();
  TokenClient admin = host_.admin();
  EXPECT_THAT(
      admin.ask<wire::Imported>(wire::Import{.label = "other.v1", .cka_id = 2, .blob = foreign}),
      ErrorIs(Code::usage, HasSubstr("is for another token")));
  const Bytes cut{foreign.begin(), foreign.end() - 40};
  EXPECT_THAT(
      admin.ask<wire::Imported>(wire::Import{.label = "other.v1", .cka_id = 2, .blob = cut}),
      ErrorIs(Code::usage, HasSubstr("truncated")));
}

TEST_F(Tokend, GeneratingAgainIsNoErrorAndThePublishedWrapKeyIsTheTokens) {
  TokenClient admin = host_.admin();
  EXPECT_THAT(admin.ask<wire::Done>(wire::Generate{}), Succeeds());
  EXPECT_EQ(admin.ask<wire::PublicKeyAnswer>(wire::WrapKeyQuery{})->pem,
            slurp(host_.dir() + "/wrap-desk.pub.pem"));
}

TEST_F(Tokend, KeepsKeysOverARestart) {
  ASSERT_EQ(host_.stop(), 0);
  host_.start();
  EXPECT_THAT(host_.client().ask<wire::MacAnswer>(
                  mac_of(base64(R"({"request":"/v1/heartbeat","nonce":1})"))),
              Succeeds());
}

TEST_F(Tokend, OnlyWorkersHaveTheModuleMapped) {
  // The admin worker that took the import has been replaced by then.
  ASSERT_TRUE(host_.logs("worker_ready", 4));
  EXPECT_THAT(slurp("/proc/" + std::to_string(host_.pid()) + "/maps"),
              ::testing::Not(HasSubstr("softhsm")));
  const auto workers = host_.workers();
  ASSERT_EQ(workers.size(), 3U);
  for (const pid_t worker : workers)
    EXPECT_THAT(slurp("/proc/" + std::to_string(worker) + "/maps"), HasSubstr("softhsm")) << worker;
}

TEST_F(Tokend, NeitherPinNorConfigurationIsInArgumentsOrEnvironment) {
  ASSERT_TRUE(host_.logs("worker_ready", 4));
  const std::string pin = slurp(host_.dir() + "/pin").substr(0, 32);
  ASSERT_EQ(pin.size(), 32U);
  std::vector<pid_t> all = host_.workers();
  all.push_back(host_.pid());
  for (const pid_t pid : all) {
    for (const char* file : {"/cmdline", "/environ"})
      EXPECT_EQ(slurp("/proc/" + std::to_string(pid) + file).find(pin), std::string::npos)
          << pid << file;
  }
  for (const pid_t pid : host_.workers())
    EXPECT_EQ(slurp("/proc/" + std::to_string(pid) + "/cmdline").find(host_.dir()),
              std::string::npos);
  EXPECT_EQ(host_.log().find(pin), std::string::npos);
}

}  // namespace
}  // namespace hsm::token

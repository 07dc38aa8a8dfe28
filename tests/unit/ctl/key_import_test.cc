#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "tests/unit/ctl/fixture.h"

namespace hsm::ctl {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using wire::Type;

constexpr const char* kSecret = "1234abcd-never-shown";

// A signer and a token host that do as they are told, until a test says otherwise.
class KeyImportTest : public PlayedDirectory {
 protected:
  KeyImportTest() {
    write("wrap-dev.pub.pem", wrap_key_pem());
    admin->on<wire::RegisterKey, wire::Registered>(
        Type::register_key, [this](const wire::RegisterKey& ask) {
          registered = ask;
          return Result<wire::Registered>{
              wire::Registered{.version = 2, .cka_id = 7, .label = ask.key + ".v2"}};
        });
    for (const Type type : {Type::activate_key, Type::forget_key, Type::destroyed_key}) {
      admin->on<wire::KeyVersionRef, wire::Done>(type, [this](const wire::KeyVersionRef& ref) {
        changed.push_back(ref.key + "/" + std::to_string(ref.version));
        return Result<wire::Done>{wire::Done{}};
      });
    }
    import_with([this](const wire::Import& ask) {
      imported = ask;
      return Result<wire::Imported>{wire::Imported{registered.key_check, "token"}};
    });
  }

  void import_with(std::function<Result<wire::Imported>(const wire::Import&)> answer) {
    token_admin->on<wire::Import, wire::Imported>(Type::import, std::move(answer));
  }
  std::vector<std::string> arguments(const std::vector<std::string>& more) const {
    std::vector<std::string> all{"key",       "import",        "desk-a.trade", "--api-key",
                                 "account-x", "--environment", "sandbox",      "--roles",
                                 "trader",    "--nonce",       "caller"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Ran import(const std::vector<std::string>& more = {}) const {
    return ctl(arguments(more.empty() ? std::vector<std::string>{"--secret-file", secret} : more));
  }

  wire::RegisterKey registered;
  wire::Import imported;
  std::vector<std::string> changed;
  std::string secret = write("secret", std::string{kSecret} + "\n");
};

TEST_F(KeyImportTest, RegistersImportsAndActivatesInThisOrder) {
  const Ran ran = import({"--secret-file", secret, "--json"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(admin->asked(), (std::vector{Type::register_key, Type::activate_key}));
  EXPECT_EQ(changed, std::vector<std::string>{"desk-a.trade/2"});
  EXPECT_EQ(registered.nonce_form, "caller-ms");
  EXPECT_EQ(registered.scope, "account");
  EXPECT_EQ(registered.token, "dev");
  EXPECT_EQ(imported.label, "desk-a.trade.v2");
  EXPECT_EQ(imported.cka_id, 7);
  EXPECT_THAT(ran.out, AllOf(HasSubstr(R"("label":"desk-a.trade.v2")"),
                             HasSubstr(R"("state":"active")"), HasSubstr("SHA256:")));
}

TEST_F(KeyImportTest, WhatLeavesIsTheWrappedKeyAndItsCheckValue) {
  ASSERT_EQ(import().status, 0);
  const auto blob = wire::WrappedKey::decode(imported.blob);
  ASSERT_THAT(blob, Succeeds());
  auto canonical = wire::canonical_secret(SecretBytes::copy_of(as_bytes(kSecret)));
  EXPECT_EQ(blob->key_check, wire::key_check_value(canonical->view()));
  EXPECT_EQ(registered.key_check, blob->key_check);
  EXPECT_EQ(blob->wrap_key, *wire::fingerprint(wrap_key_pem()));
  EXPECT_EQ(as_text(imported.blob).find(kSecret), std::string_view::npos);
}

TEST_F(KeyImportTest, ShowsTheFingerprintOfThePinnedKey) {
  EXPECT_THAT(import().out, HasSubstr(wire::fingerprint_text(*wire::fingerprint(wrap_key_pem()))));
}

TEST_F(KeyImportTest, ABlobMadeOfflineIsTaken) {
  const std::string blob = file("key.blob");
  ASSERT_EQ(run_ctl({"wrap", "--token-key", file("wrap-dev.pub.pem"), "--secret-file", secret, "-o",
                     blob})
                .status,
            0);
  EXPECT_EQ(import({"--blob", blob}).status, 0);
  EXPECT_FALSE(changed.empty());
}

TEST_F(KeyImportTest, ABlobForAnotherTokenIsRefusedWithBothFingerprintsBeforeAnythingIsSent) {
  write("other.pem", other_wrap_key_pem());
  const std::string blob = file("foreign.blob");
  ASSERT_EQ(run_ctl({"wrap", "--token-key", file("other.pem"), "--secret-file", secret, "-o", blob})
                .status,
            0);
  const Ran ran = import({"--blob", blob});
  EXPECT_EQ(ran.status, 2);
  for (const std::string& pem : {wrap_key_pem(), other_wrap_key_pem()})
    EXPECT_THAT(ran.err, HasSubstr(wire::fingerprint_text(*wire::fingerprint(pem))));
  EXPECT_TRUE(admin->asked().empty());
  EXPECT_TRUE(token_admin->asked().empty());
}

TEST_F(KeyImportTest, BlobsThatAreNoneAreRefusedBeforeAnythingIsSent) {
  const auto canonical = wire::canonical_secret(SecretBytes::copy_of(as_bytes(kSecret)));
  const std::string whole = wire::wrap(*canonical, wrap_key_pem())->to_text();
  std::string damaged = whole;
  damaged[200] = damaged[200] == 'A' ? 'B' : 'A';
  for (const std::string& text :
       {std::string{}, std::string{"hello"}, whole.substr(0, 100),
        whole.substr(0, whole.size() / 2), damaged, std::string{"HSMWRAP1 and nothing"}}) {
    const Ran ran = import({"--blob", write("bad.blob", text)});
    EXPECT_EQ(ran.status, 2) << text;
  }
  EXPECT_TRUE(admin->asked().empty());
}

TEST_F(KeyImportTest, SecretsThatAreNoneAreRefusedAndNothingIsRegistered) {
  for (const std::string& text :
       {std::string{}, std::string{"\n"}, std::string{"abc def"}, std::string{"abc\tdef"},
        std::string{"abc\0", 4}, std::string{"abc\xff"}, std::string(5'000, 'a')}) {
    const Ran ran = import({"--secret-file", write("bad", text)});
    EXPECT_TRUE(ran.status == 1 || ran.status == 2) << ran.status;
    EXPECT_THAT(ran.err, Not(HasSubstr("def")));
  }
  EXPECT_TRUE(admin->asked().empty());
}

TEST_F(KeyImportTest, OptionsThatAreNoneAreRefusedAndNothingIsRegistered) {
  for (const auto& [option, value] :
       {std::pair{"--environment", "testnet"}, std::pair{"--nonce", "signer-ns"},
        std::pair{"--api-key", "has space"}}) {
    std::vector<std::string> all = arguments({"--secret-file", secret});
    *(std::find(all.begin(), all.end(), option) + 1) = value;
    EXPECT_EQ(ctl(all).status, 2) << option << " " << value;
  }
  EXPECT_EQ(import({"--secret-file", secret, "--scope", "everything"}).status, 2);
  EXPECT_EQ(import({"--secret-file", secret, "--token", "other"}).status, 2);
  EXPECT_EQ(import({"--secret-file", secret, "--blob", secret}).status, 2);
  EXPECT_TRUE(admin->asked().empty());
}

TEST_F(KeyImportTest, ANameThatIsNoneIsRefused) {
  for (const char* name : {"UPPER", "-x", "a/b", "a b", "aaaaaaaaaabbbbbbbbbbccccccccccddd"}) {
    std::vector<std::string> all = arguments({"--secret-file", secret});
    all[2] = name;
    EXPECT_EQ(ctl(all).status, 2) << name;
  }
  EXPECT_TRUE(admin->asked().empty());
}

TEST_F(KeyImportTest, ASecretInTheEnvironmentIsRefusedWithoutBeingShown) {
  ::setenv("GEMINI_API_SECRET", kSecret, 1);
  const Ran ran = import();
  ::unsetenv("GEMINI_API_SECRET");
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("GEMINI_API_SECRET"), HasSubstr("--secret-file"),
                             Not(HasSubstr(kSecret))));
  EXPECT_TRUE(admin->asked().empty());
}

TEST_F(KeyImportTest, ARefusalOfTheSignerImportsNothing) {
  admin->on<wire::RegisterKey, wire::Registered>(Type::register_key, [](const wire::RegisterKey&) {
    return refusal<wire::Registered>(Code::usage, "this API key id has another nonce form");
  });
  const Ran ran = import();
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, HasSubstr("another nonce form"));
  EXPECT_TRUE(token_admin->asked().empty());
}

TEST_F(KeyImportTest, ABusySignerIsAskedAgain) {
  int times = 0;
  admin->on<wire::RegisterKey, wire::Registered>(
      Type::register_key, [&](const wire::RegisterKey& ask) -> Result<wire::Registered> {
        registered = ask;
        if (++times < 3)
          return fail(Error{.code = Code::overloaded,
                            .what = {},
                            .detail = "another change",
                            .ck_rv = 0,
                            .retry_after_ms = 1});
        return wire::Registered{.version = 2, .cka_id = 7, .label = ask.key + ".v2"};
      });
  EXPECT_EQ(import().status, 0);
  EXPECT_EQ(times, 3);
}

TEST_F(KeyImportTest, WhatTheTokenRefusesIsGivenUpAtTheSigner) {
  import_with([](const wire::Import&) {
    return refusal<wire::Imported>(Code::usage, "the label is taken");
  });
  const Ran ran = import();
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("the label is taken"), HasSubstr("nothing was imported")));
  EXPECT_EQ(admin->asked(),
            (std::vector{Type::register_key, Type::forget_key, Type::destroyed_key}));
}

TEST_F(KeyImportTest, ALostTokenHostLeavesItStagedAndSaysHowToMend) {
  token_admin->on(Type::import, [](const wire::FrameView&, Bytes&) { return false; });
  const Ran ran = import();
  EXPECT_EQ(ran.status, 3);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("desk-a.trade.v2 stays staged"),
                             HasSubstr("key check desk-a.trade --mend")));
  EXPECT_EQ(admin->asked(), std::vector{Type::register_key});
}

TEST_F(KeyImportTest, AnotherKeyCheckValueFromTheTokenIsNotActivated) {
  import_with([](const wire::Import&) { return Result<wire::Imported>{wire::Imported{}}; });
  const Ran ran = import();
  EXPECT_EQ(ran.status, 4);
  EXPECT_THAT(ran.err, HasSubstr("another secret"));
  EXPECT_EQ(admin->asked(), std::vector{Type::register_key});
}

TEST_F(KeyImportTest, AFailedActivationSaysHowToMend) {
  admin->on<wire::KeyVersionRef, wire::Done>(Type::activate_key, [](const wire::KeyVersionRef&) {
    return refusal<wire::Done>(Code::token_unavailable, "no worker");
  });
  const Ran ran = import();
  EXPECT_EQ(ran.status, 3);
  EXPECT_THAT(ran.err, HasSubstr("--mend"));
}

TEST_F(KeyImportTest, WithoutATokenHostNothingIsRegistered) {
  token_admin.reset();
  const Ran ran = import();
  EXPECT_EQ(ran.status, 3);
  EXPECT_THAT(ran.err, HasSubstr("is hsm-tokend running?"));
  EXPECT_TRUE(admin->asked().empty());
}

TEST_F(KeyImportTest, WithoutASignerNobodyIsAskedForASecret) {
  admin.reset();
  const Ran ran = import({"--secret-file", file("never-opened")});
  EXPECT_EQ(ran.status, 3);
  EXPECT_THAT(ran.err, HasSubstr("is hsm-signerd running?"));
}

TEST_F(KeyImportTest, AWrapKeyThatIsNotThereYetSaysWhoWritesIt) {
  std::filesystem::remove(file("wrap-dev.pub.pem"));
  EXPECT_THAT(import().err, HasSubstr("hsm-tokend writes it"));
}

TEST(WrapTest, WorksOfflineAndWritesWhatOnlyItsOwnerCanRead) {
  client::TempDir dir;
  write_text(dir / "token.pem", wrap_key_pem());
  write_text(dir / "secret", kSecret);
  const std::string blob = dir / "key.blob";
  const Ran ran = run_ctl(
      {"wrap", "--token-key", dir / "token.pem", "--secret-file", dir / "secret", "-o", blob});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(std::filesystem::status(blob).permissions() & std::filesystem::perms::all,
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_THAT(ran.err, HasSubstr("SHA256:"));
  const Ran printed =
      run_ctl({"wrap", "--token-key", dir / "token.pem", "--secret-file", dir / "secret"});
  EXPECT_THAT(wire::WrappedKey::from_text(printed.out), Succeeds());
}

TEST(WrapTest, RefusesKeysThatAreNoWrapKeysBeforeItAsksForTheSecret) {
  client::TempDir dir;
  write_text(dir / "bad.pem", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
  const Ran ran =
      run_ctl({"wrap", "--token-key", dir / "bad.pem", "--secret-file", dir / "never-opened"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, HasSubstr("not a public key"));
}

}  // namespace
}  // namespace hsm::ctl

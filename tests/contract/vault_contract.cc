#include "tests/contract/vault_contract.h"

#include <fstream>
#include <set>
#include <sstream>

namespace hsm::token {
namespace {

// More of the usual secret than all tests together take.
constexpr int kUsual = 40;
constexpr int kOthers = 20;

class FakeBench final : public Bench {
 public:
  Vault& vault() override { return vault_; }
  Result<void> try_plant(const ObjectName& object, ByteView key) override {
    vault_.plant(object, key);
    return {};
  }
  void remove(const ObjectName& object) override { vault_.remove(object); }
  bool links() const override { return false; }

 private:
  test::FakeVault vault_;
};

class TokenBench final : public Bench {
 public:
  TokenBench()
      : token_{the_token()}, vault_{token_.session(), token_.profile(), token_.wrap_key()} {}
  ~TokenBench() override { token_.clear(); }
  Vault& vault() override { return vault_; }
  Result<void> try_plant(const ObjectName& object, ByteView key) override {
    return token_.plant(object, key);
  }
  void remove(const ObjectName& object) override { token_.remove(object); }
  bool links() const override { return token_.links(); }

 private:
  test::TestToken& token_;
  TokenVault vault_;
};

std::vector<test::SpareKey> spare_keys() {
  std::vector<test::SpareKey> spares{{std::string{kSecret}, kUsual},
                                     {std::string{kOther}, kOthers},
                                     {std::string{kDocumented}, 1}};
  for (const std::size_t size : kSizes) spares.push_back({secret_of(size), 1});
  return spares;
}

bool token_is_open = false;

class LogsOutAtTheEnd final : public ::testing::Environment {
 public:
  void TearDown() override {
    if (token_is_open) the_token().log_out();
  }
};
[[maybe_unused]] const auto* const kEnvironment =
    ::testing::AddGlobalTestEnvironment(new LogsOutAtTheEnd);

}  // namespace

std::unique_ptr<Bench> fake_bench() { return std::make_unique<FakeBench>(); }
std::unique_ptr<Bench> token_bench() { return std::make_unique<TokenBench>(); }

test::TestToken& the_token() {
  static test::TestToken token{spare_keys()};
  token_is_open = true;
  return token;
}

Deviating::Deviating(std::string token) : token_{std::move(token)} {
  std::string_view test = ::testing::UnitTest::GetInstance()->current_test_info()->name();
  test = test.substr(0, test.find('/'));
  row_ = deviation(token_, test);
}

Deviating::~Deviating() {
  if (row_ != nullptr && !looked_)
    ADD_FAILURE() << "deviations.cc has a row for " << row_->test << " on " << token_
                  << ", and the test does not look";
}

bool Deviating::deviates() {
  looked_ = true;
  return row_ != nullptr;
}

SecretBytes canonical(std::string_view secret) {
  return *wire::canonical_secret(SecretBytes::copy_of(as_bytes(secret)));
}

KeyRef ref(const ObjectName& object, std::string_view secret) {
  return {object, wire::key_check_value(canonical(secret).view())};
}

ObjectName fresh() {
  static std::uint16_t last = 0;
  ++last;
  return {"contract-" + std::to_string(last) + ".v1", last};
}

std::string secret_of(std::size_t size) {
  std::string secret;
  for (std::size_t i = 0; i < size; ++i)
    secret.push_back(static_cast<char>('!' + (i * 7 + size) % 94));
  return secret;
}

namespace {

TEST(Deviations, EachBelongsToATestOfThisProgram) {
  std::set<std::string, std::less<>> tests;
  const auto& program = *::testing::UnitTest::GetInstance();
  for (int i = 0; i < program.total_test_suite_count(); ++i) {
    const auto& suite = *program.GetTestSuite(i);
    for (int j = 0; j < suite.total_test_count(); ++j) {
      const std::string_view name = suite.GetTestInfo(j)->name();
      tests.emplace(name.substr(0, name.find('/')));
    }
  }
  for (const Deviation& row : deviations()) EXPECT_TRUE(tests.contains(row.test)) << row.test;
}

TEST(Deviations, AreInTheDocumentation) {
  std::ostringstream text;
  text << std::ifstream{HSM_SOURCE_DIR "/docs/tokens.md"}.rdbuf();
  std::size_t in_documentation = 0;
  const std::string all = text.str();
  const std::string section = all.substr(all.find("\n## Where a token deviates"));
  for (std::size_t at = section.find("\n| `"); at != std::string::npos;
       at = section.find("\n| `", at + 1))
    ++in_documentation;
  EXPECT_EQ(in_documentation, deviations().size());
  for (const Deviation& row : deviations()) {
    std::ostringstream line;
    line << "\n| `" << row.token << "` | " << row.test << " | " << row.does << " | " << row.why
         << " |\n";
    EXPECT_NE(section.find(line.str()), std::string::npos) << "docs/tokens.md lacks:" << line.str();
  }
}

}  // namespace
}  // namespace hsm::token

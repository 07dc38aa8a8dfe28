#include "tests/support/test_officers.h"

#include <gtest/gtest.h>

namespace hsm::test {

const officers::TestSigner& TestOfficers::key_of(const std::string& name) {
  auto found = keys_.find(name);
  if (found == keys_.end())
    found = keys_.emplace(name, officers::TestSigner{officers::KeyType::ed25519}).first;
  return found->second;
}

std::string TestOfficers::file(const std::vector<std::string>& names) {
  std::string text = "version = 1\n";
  for (const std::string& name : names)
    text += "[[officer]]\nname = \"" + name + "\"\nkeys = [\"" + key_of(name).line() +
            "\"]\ngroups = [\"officers\"]\n";
  return text;
}

std::string TestOfficers::signed_by(const std::vector<std::string>& names,
                                    const officers::Statement& statement) {
  const auto text = statement.to_text();
  EXPECT_TRUE(text.has_value());
  if (!text) return {};
  std::string bundle = *text;
  for (const std::string& name : names) bundle += key_of(name).sign(*text).to_text();
  return bundle;
}

officers::Statement approval(const std::string& id, const std::string& payload, Clock::Wall now) {
  officers::Statement statement{.verb = officers::Verb::approve,
                                .host = "signer-1",
                                .id = id,
                                .key = "desk",
                                .api_key_id = "account-1",
                                .environment = "production",
                                .client = "treasury",
                                .payload = payload,
                                .policy_serial = 1,
                                .arguments = {{"token", "desk"}}};
  statement.expires = now + std::chrono::minutes{15};
  return statement;
}

}  // namespace hsm::test

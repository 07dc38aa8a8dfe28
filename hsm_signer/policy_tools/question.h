// What one asks a policy on paper: requests, one JSON object a line (docs/policy.md, "Tools").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hsm_signer/base/decimal.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/base/terms.h"
#include "hsm_signer/venue/endpoints.h"

namespace hsm::policy {

// A key as a question describes it: nobody has to have it.
struct AskedKey {
  std::string name;
  Environment environment = Environment::production;
  Scope scope = Scope::account;
  venue::Roles roles = venue::kTrader | venue::kFundManager;
  VersionState state = VersionState::active;
};

struct Question {
  std::size_t line = 0;  // From 1 on.
  std::string what;      // For people; may be empty.
  // Who asks: a client of the policy by its name, or else a uid and gid.
  std::string client;
  std::optional<std::uint32_t> uid;
  std::uint32_t gid = 0;
  AskedKey key;
  std::optional<Clock::Wall> at;
  std::string payload;  // JSON, as a client would send it; nobody has judged it.
  std::uint32_t times = 1;
  std::vector<std::pair<std::string, Decimal>> references;
  std::string expect;  // "allow", "deny" (any refusal) or the name of a code; may be empty.
};

// Lines of `text`; empty ones and those that begin with # are passed over. What a line without
// "request" says holds for the lines behind it, until they or another such line say otherwise.
// Errors are Code::usage and begin with `file`:line.
Result<std::vector<Question>> read_questions(std::string_view text, const std::string& file);

}  // namespace hsm::policy

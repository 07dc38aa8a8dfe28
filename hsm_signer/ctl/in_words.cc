#include "hsm_signer/ctl/in_words.h"

#include <algorithm>
#include <vector>

#include "hsm_signer/ctl/context.h"
#include "hsm_signer/venue/payload.h"

namespace hsm::ctl {
namespace {

using officers::Statement;
using officers::Verb;

struct Member {
  std::string name;
  std::string value;  // As it stands; a string without its quotes.
};

// The members of an object that is compact JSON in ASCII, which the statement's form and the strict
// parser have seen to, each in its own spelling: what is shown is what will be signed.
std::vector<Member> members_of(std::string_view json) {
  std::vector<std::string> parts;
  std::string part;
  std::size_t depth = 0;
  bool quoted = false;
  for (std::size_t i = 1; i + 1 < json.size(); ++i) {
    const char c = json[i];
    const bool splits = !quoted && depth == 0 && (c == ',' || c == ':');
    if (splits) {
      parts.push_back(std::exchange(part, {}));
      continue;
    }
    part.push_back(c);
    if (quoted && c == '\\') part.push_back(json[++i]);
    if (c == '"') quoted = !quoted;
    if (!quoted && (c == '{' || c == '[')) ++depth;
    if (!quoted && (c == '}' || c == ']')) --depth;
  }
  parts.push_back(part);
  const auto bare = [](const std::string& text) {
    return text.size() >= 2 && text.front() == '"' ? text.substr(1, text.size() - 2) : text;
  };
  std::vector<Member> members;
  for (std::size_t i = 0; i + 1 < parts.size(); i += 2)
    members.push_back({bare(parts[i]), bare(parts[i + 1])});
  return members;
}

std::string value_of(const std::vector<Member>& members, std::string_view name) {
  const auto found = std::find_if(members.begin(), members.end(),
                                  [&](const Member& member) { return member.name == name; });
  return found == members.end() ? "(not said)" : found->value;
}

bool has(const std::vector<Member>& members, std::string_view name) {
  return std::any_of(members.begin(), members.end(),
                     [&](const Member& member) { return member.name == name; });
}

// One sentence for what moves money; what it is called for the rest.
std::string headline(const venue::Payload& payload, const std::vector<Member>& members) {
  const std::string_view path = payload.endpoint().path;
  const auto parameter = [&](std::string_view name) {
    return std::string{payload.parameter(name)};
  };
  const std::string amount = value_of(members, "amount");
  const std::string memo =
      has(members, "memo") ? ", memo " + value_of(members, "memo") : ", without a memo";
  if (path == "/v2/withdraw/{network}/{ticker}")
    return "Withdraw " + amount + " " + parameter("ticker") + " over " + parameter("network") +
           " to " + value_of(members, "address") + memo;
  if (path == "/v1/withdraw/{currency}")
    return "Withdraw " + amount + " " + parameter("currency") + " to " +
           value_of(members, "address") + memo;
  if (path == "/v1/account/transfer/{currency}")
    return "Transfer " + amount + " " + parameter("currency") + " from account " +
           value_of(members, "sourceAccount") + " to account " + value_of(members, "targetAccount");
  return "Sign a request of class " + std::string{venue::name(payload.endpoint().cls)} + ": " +
         std::string{payload.request()};
}

std::string argument(const Statement& statement, std::string_view name) {
  const auto found = statement.arguments.find(name);
  return found == statement.arguments.end() ? std::string{} : found->second;
}

std::string administrative(const Statement& s) {
  switch (s.verb) {
    case Verb::approve:
      break;
    case Verb::policy:
      return "Put the policy with serial " + std::to_string(s.policy_serial) +
             " in force, whose file has SHA-256 " + argument(s, "sha256");
    case Verb::thaw:
      return "Lift the switch of " + argument(s, "scope") + " " + argument(s, "name");
    case Verb::import_key:
      return "Take in a secret as a new version of key " + s.key + ", roles " +
             argument(s, "roles") + ", scope " + argument(s, "scope");
    case Verb::activate:
      return "Let version " + argument(s, "version") + " of key " + s.key + " sign";
    case Verb::destroy:
      return "Destroy version " + argument(s, "version") + " of key " + s.key + ", for ever";
    case Verb::client_add:
      return "Let client " + s.client + " in, with uid " + argument(s, "uid");
    case Verb::nonce_raise:
      return "Raise the nonce mark of key " + s.key + " to " + argument(s, "mark");
    case Verb::retention:
      return "Let audit records up to " + argument(s, "before") + " go";
  }
  return {};
}

std::string facts(const Statement& statement) {
  std::vector<std::vector<std::string>> rows;
  const auto row = [&](std::string name, const std::string& value) {
    if (!value.empty()) rows.push_back({"  " + std::move(name), value});
  };
  row("asked by", statement.client.empty() ? "" : "client " + statement.client);
  row("requester", statement.requester);
  row("key", statement.key);
  row("environment", statement.environment);
  row("API key", statement.api_key_id);
  row("token", argument(statement, "token"));
  row("on host", statement.host);
  row("policy",
      statement.policy_serial == 0 ? "" : "serial " + std::to_string(statement.policy_serial));
  row("until", rfc3339(statement.expires));
  row("id", statement.id);
  return table(rows);
}

}  // namespace

Result<std::string> in_words(const Statement& statement) {
  if (statement.verb != Verb::approve) return administrative(statement) + ".\n" + facts(statement);
  auto payload = venue::Payload::parse_request(statement.payload);
  if (!payload)
    return fail(Code::invalid_payload, "this statement is about no request that would be signed",
                payload.error().sentence());
  const std::vector<Member> members = members_of(statement.payload);
  std::string text = headline(*payload, members) + ".\n" + facts(statement);
  std::vector<std::vector<std::string>> rows;
  for (const Member& member : members) rows.push_back({"    " + member.name, member.value});
  return text + "  the request, as it will be signed:\n" + table(rows);
}

}  // namespace hsm::ctl

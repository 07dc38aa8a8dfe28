// Statements of officers about administrative acts: written here, signed with approvals sign.
#include <unistd.h>

#include <array>
#include <chrono>

#include "hsm_signer/base/duration.h"
#include "hsm_signer/ctl/admin_call.h"
#include "hsm_signer/ctl/in_words.h"
#include "hsm_signer/ctl/verbs.h"
#include "hsm_signer/officers/bundle.h"
#include "hsm_signer/officers/quorum.h"

namespace hsm::ctl {
namespace {

using officers::Statement;
using officers::Verb;

constexpr std::array kVerbs{Verb::policy,  Verb::thaw,       Verb::import_key,  Verb::activate,
                            Verb::destroy, Verb::client_add, Verb::nonce_raise, Verb::retention};

Result<Verb> verb_of(const std::string& word) {
  for (const Verb verb : kVerbs)
    if (officers::name(verb) == word) return verb;
  return fail(Code::usage, "no verb of administrative statements",
              "policy, thaw, import, activate, destroy, client-add, nonce-raise or retention");
}

// As the signer knows the version that it is about: what is left out on the command line.
Result<void> fill_from_signer(Context& context, const StatementOptions& options,
                              Statement& statement) {
  TRY(client::Client admin, context.admin());
  if (statement.host.empty()) {
    TRY(const wire::Status status, admin.call<wire::Status>(wire::StatusQuery{}));
    statement.host = status.host;
    if (status.host.empty())
      return fail(Code::usage, "hsm-signerd looks at no statements", status.officers);
  }
  const bool of_version = statement.verb == Verb::activate || statement.verb == Verb::destroy;
  if (!of_version || !statement.api_key_id.empty()) return {};
  TRY(const auto versions, list_versions(admin, options.key));
  for (const wire::VersionItem& item : versions) {
    if (std::to_string(item.version) != options.version) continue;
    statement.api_key_id = item.api_key_id;
    statement.environment = item.environment;
    return {};
  }
  return fail(Code::denied, "there is no such version of a key",
              "name one of hsm-signerctl key list with --key and --version");
}

std::string fresh_id() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return "s-" + std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()) +
         "-" + std::to_string(::getpid());
}

Result<Statement> described(const StatementOptions& options) {
  Statement statement;
  TRY(statement.verb, verb_of(options.verb));
  statement.host = options.host;
  statement.id = options.id.empty() ? fresh_id() : options.id;
  statement.requester = options.requester;
  statement.key = options.key;
  statement.api_key_id = options.api_key;
  statement.environment = options.environment;
  statement.client = options.client;
  statement.policy_serial = options.serial;
  const std::pair<const char*, const std::string*> arguments[] = {
      {"before", &options.before}, {"mark", &options.mark},   {"name", &options.name},
      {"roles", &options.roles},   {"scope", &options.scope}, {"sha256", &options.sha256},
      {"token", &options.token},   {"uid", &options.uid},     {"version", &options.version}};
  for (const auto& [name, value] : arguments)
    if (!value->empty()) statement.arguments.emplace(name, *value);
  TRY(const std::chrono::seconds within, parse_duration(options.within));
  statement.expires =
      std::chrono::time_point_cast<std::chrono::microseconds>(SystemClock{}.wall() + within);
  return statement;
}

// The signer would refuse these too, but only when officers have signed them.
Result<void> can_ever_count(const StatementOptions& options, const Statement& statement) {
  if (statement.expires > SystemClock{}.wall() + officers::kLongestLife)
    return fail(Code::usage, "a statement counts 24 hours at most", "--within " + options.within);
  if (statement.verb != Verb::thaw) return {};
  const bool named = options.scope == "key" || options.scope == "client";
  if (!named && options.scope != "all")
    return fail(Code::usage, "thaw is of --scope key, client or all");
  if (named == options.name.empty())
    return fail(Code::usage, named ? "say which with --name" : "--scope all takes no --name",
                "--scope " + options.scope);
  return {};
}

// Lines of a statement, as the command line calls them.
Error in_options(Error error) {
  if (error.code != Code::invalid_payload) return error;
  std::string& text = error.detail;
  const auto replace = [&](std::string_view line, std::string_view option) {
    if (text.starts_with(line)) text.replace(0, line.size(), option);
  };
  replace("policy-serial", "--serial");
  replace("api-key-id", "--api-key");
  replace("arg-", "--");
  for (const char* plain : {"key", "client", "environment", "host", "id", "requester"})
    replace(std::string{plain} + " is", "--" + std::string{plain} + " is");
  if (text.starts_with("--before is out")) text += ": 2026-11-25T19:00:00.000000Z";
  return {.code = Code::usage, .what = "this statement cannot be made", .detail = std::move(text)};
}

bool lacks_what_the_signer_knows(const Statement& statement) {
  const bool of_version = statement.verb == Verb::activate || statement.verb == Verb::destroy;
  return statement.host.empty() || (of_version && statement.api_key_id.empty());
}

}  // namespace

Result<void> statement_make(Context& context, const StatementOptions& options) {
  TRY(Statement statement, described(options));
  TRY_VOID(can_ever_count(options, statement));
  if (lacks_what_the_signer_knows(statement))
    TRY_VOID(fill_from_signer(context, options, statement));
  const Result<std::string> made = statement.to_text();
  if (!made) return fail(in_options(made.error()));
  const std::string& text = *made;
  if (!options.output.empty()) {
    TRY_VOID(write_file_atomic(options.output, as_bytes(text), 0644));
    TRY(const std::string words, in_words(statement));
    context.note(words);
  }
  Json json;
  json.text("id", statement.id).text("text", text);
  if (!options.output.empty()) json.text("file", options.output);
  context.answer(json, options.output.empty() ? text : "written to " + options.output + "\n");
  return {};
}

Result<void> statement_show(Context& context, const StatementOptions& options) {
  TRY(const std::string content, read_input(options.verb, officers::kBundleLimit));
  const std::string text = content.substr(0, content.find("-----BEGIN SSH SIGNATURE-----\n"));
  TRY(const Statement statement, Statement::parse(text));
  TRY(const std::string words, in_words(statement));
  std::size_t signatures = 0;
  if (text.size() != content.size()) {
    TRY(const officers::Bundle bundle, officers::Bundle::parse(content));
    signatures = bundle.signatures.size();
  }
  Json json;
  json.text("verb", officers::name(statement.verb))
      .text("id", statement.id)
      .number("signatures", signatures)
      .text("text", text);
  context.answer(json, words + "  signatures under it: " + std::to_string(signatures) + "\n");
  return {};
}

Result<void> statement_submit(Context& context, const StatementOptions& options) {
  TRY(const std::string content, read_input(options.verb, officers::kBundleLimit));
  TRY(const officers::Bundle bundle, officers::Bundle::parse(content));
  const Statement& statement = bundle.statement;
  switch (statement.verb) {
    case Verb::approve:
      return approvals_submit(context, {.what = statement.id, .file = options.verb});
    case Verb::activate:
    case Verb::destroy: {
      KeyOptions key{.name = statement.key, .statement = options.verb};
      key.version = static_cast<std::uint32_t>(std::stoul(statement.arguments.at("version")));
      key.yes = true;  // Officers have been asked.
      return statement.verb == Verb::activate ? key_activate(context, key)
                                              : key_destroy(context, key);
    }
    default:
      return fail(Code::usage, "this statement goes along with its verb's own command",
                  "give it there with --statement FILE");
  }
}

}  // namespace hsm::ctl

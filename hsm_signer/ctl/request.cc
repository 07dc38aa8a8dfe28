#include <chrono>

#include "hsm_signer/ctl/signed_json.h"
#include "hsm_signer/ctl/verbs.h"
#include "hsm_signer/wire/client.h"

namespace hsm::ctl {
namespace {

// The signer takes 8 KiB of base64; what is larger hears it from the signer, what is absurd here.
constexpr std::size_t kPayloadLimit = 48 * 1024;
// How much longer than the signer's own deadline we listen, so that its sentence arrives.
constexpr std::chrono::milliseconds kGrace{1'000};

Result<void> check_choice(const SignOptions& options) {
  if (options.request.empty() == options.verbatim.empty())
    return fail(Code::usage,
                "give either --request FILE or --verbatim FILE ('-' is standard input)");
  return {};
}

// As `curl -H @-` takes them.
std::string signed_text(const wire::Signed& answer) {
  return "X-GEMINI-APIKEY: " + answer.api_key_id + "\nX-GEMINI-PAYLOAD: " + answer.payload_base64 +
         "\nX-GEMINI-SIGNATURE: " + answer.signature + "\n";
}

Json explanation_json(const wire::Explanation& answer) {
  std::vector<std::string> steps;
  for (const wire::RuleStep& step : answer.steps) {
    Json item;
    item.text("rule", step.rule).text("verdict", step.verdict).text("why", step.why);
    steps.push_back(item.done());
  }
  Json json;
  json.boolean("allowed", answer.allowed)
      .text("code", answer.code)
      .text("rule", answer.rule)
      .text("sentence", answer.sentence)
      .text("endpoint", answer.endpoint)
      .text("class", answer.endpoint_class)
      .raw("steps", json_array(steps));
  return json;
}

std::string explanation_text(const wire::Explanation& answer) {
  std::string text = answer.allowed ? "would be signed: " : "would be refused: ";
  text += answer.sentence;
  if (!answer.allowed && !answer.code.empty()) text += " [" + answer.code + "]";
  text += "\n";
  if (!answer.endpoint.empty())
    text += "endpoint " + answer.endpoint + ", class " + answer.endpoint_class + "\n";
  for (const wire::RuleStep& step : answer.steps) {
    text += step.rule.empty() ? "  " : "  rule \"" + step.rule + "\": ";
    text += step.verdict + ", " + step.why + "\n";
  }
  return text;
}

Json key_json(const wire::KeyItem& key) {
  Json json;
  json.text("key", key.key)
      .number("version", key.version)
      .text("environment", key.environment)
      .text("api_key_id", key.api_key_id)
      .text("roles", key.roles)
      .text("nonce", key.nonce_form)
      .text("classes", key.classes);
  return json;
}

Result<std::vector<wire::KeyItem>> all_keys(client::Client& signer) {
  std::vector<wire::KeyItem> keys;
  for (;;) {
    wire::ListKeys ask;
    ask.offset = static_cast<std::uint32_t>(keys.size());
    TRY(const wire::KeyList page, signer.call<wire::KeyList>(ask));
    keys.insert(keys.end(), page.keys.begin(), page.keys.end());
    if (page.keys.empty() || keys.size() >= page.total) return keys;
  }
}

}  // namespace

Result<void> sign(Context& context, const SignOptions& options) {
  TRY_VOID(check_choice(options));
  const bool verbatim = options.request.empty();
  wire::SignRequest ask;
  ask.key = options.key;
  TRY(ask.payload, read_input(verbatim ? options.verbatim : options.request, kPayloadLimit));
  ask.deadline_ms = options.deadline_ms;
  TRY(client::Client signer, context.signer());
  std::chrono::milliseconds patience = client::Options{}.patience;
  if (ask.deadline_ms != 0) patience = std::chrono::milliseconds{ask.deadline_ms} + kGrace;
  const wire::Type type = verbatim ? wire::Type::sign_verbatim : wire::Type::sign_request;
  TRY(const wire::Signed answer, signer.call<wire::Signed>(type, ask, patience));
  context.answer(signed_json(answer), signed_text(answer));
  return {};
}

Result<void> explain(Context& context, const SignOptions& options) {
  if (options.request.empty())
    return fail(Code::usage, "give --request FILE ('-' is standard input)");
  wire::Explain ask;
  ask.key = options.key;
  TRY(ask.payload, read_input(options.request, kPayloadLimit));
  TRY(client::Client signer, context.signer());
  TRY(const wire::Explanation answer, signer.call<wire::Explanation>(ask));
  context.answer(explanation_json(answer), explanation_text(answer));
  return {};
}

Result<void> ping(Context& context) {
  TRY(client::Client signer, context.signer());
  const auto began = std::chrono::steady_clock::now();
  TRY_VOID(signer.call<wire::Ping>(wire::Ping{}));
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - began);
  const auto micros = static_cast<std::uint64_t>(took.count());
  Json json;
  json.text("daemon", signer.peer_program()).number("round_trip_us", micros);
  context.answer(json, signer.peer_program() + " answers in " + std::to_string(micros) + " us\n");
  return {};
}

Result<void> whoami(Context& context) {
  TRY(client::Client signer, context.signer());
  TRY(const wire::Identity me, signer.call<wire::Identity>(wire::WhoAmI{}));
  Json json;
  json.number("uid", me.uid).number("gid", me.gid).text("client", me.client);
  context.answer(json, "client \"" + me.client + "\" (uid " + std::to_string(me.uid) + ", gid " +
                           std::to_string(me.gid) + ")\n");
  return {};
}

Result<void> keys(Context& context) {
  TRY(client::Client signer, context.signer());
  TRY(const std::vector<wire::KeyItem> all, all_keys(signer));
  std::vector<std::vector<std::string>> rows{
      {"KEY", "VERSION", "ENVIRONMENT", "API KEY", "ROLES", "NONCE", "MAY USE"}};
  std::vector<std::string> items;
  for (const wire::KeyItem& key : all) {
    rows.push_back({key.key, std::to_string(key.version), key.environment, key.api_key_id,
                    key.roles, key.nonce_form, key.classes});
    items.push_back(key_json(key).done());
  }
  Json json;
  json.raw("keys", json_array(items));
  context.answer(json, all.empty() ? "no key that you may use\n" : table(rows));
  return {};
}

}  // namespace hsm::ctl

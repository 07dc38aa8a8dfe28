#include "hsm_signer/ctl/process.h"
#include "hsm_signer/ctl/verbs.h"
#include "hsm_signer/wire/admin.h"

namespace hsm::ctl {
namespace {

Json token_json(const wire::TokenStatus& token) {
  Json json;
  json.text("token", token.token)
      .boolean("running", token.workers > 0)
      .number("workers", token.workers)
      .number("configured", token.configured)
      .text("problem", token.problem);
  return json;
}

Json status_json(const wire::Status& status, const SwitchView& switches) {
  std::vector<std::string> tokens;
  for (const wire::TokenStatus& token : status.tokens) tokens.push_back(token_json(token).done());
  Json json;
  json.boolean("running", true)
      .text("version", status.version)
      .text("mode", status.mode)
      .text("state", status.state)
      .number("audit_size", status.audit_size)
      .number("signatures", status.signatures)
      .number("refusals", status.refusals)
      .number("connections", status.connections)
      .number("turned_away", status.turned_away)
      .number("keys", status.keys)
      .text("problem", status.problem)
      .text("audit_warning", status.audit_warning)
      .text("officers", status.officers)
      .text("host", status.host)
      .number("approvals", status.approvals)
      .text("anchor", status.anchor)
      .raw("tokens", json_array(tokens))
      .raw("switches", switches.json);
  return json;
}

std::string status_text(const wire::Status& status, const SwitchView& switches) {
  std::string text = "hsm-signerd " + status.version + ", " + status.mode + ": " + status.state +
                     "\n" +
                     table({{"  active keys", std::to_string(status.keys)},
                            {"  connections", std::to_string(status.connections)},
                            {"  turned away", std::to_string(status.turned_away)},
                            {"  signatures", std::to_string(status.signatures)},
                            {"  refusals", std::to_string(status.refusals)},
                            {"  audit records", std::to_string(status.audit_size)},
                            {"  audit anchor", status.anchor},
                            {"  officers", status.officers},
                            {"  waiting for officers", std::to_string(status.approvals)}});
  if (!status.problem.empty()) text += "  problem: " + status.problem + "\n";
  if (!status.audit_warning.empty()) text += "  warning: " + status.audit_warning + "\n";
  for (const std::string& line : switches.lines) text += "  switch: " + line + "\n";
  for (const wire::TokenStatus& token : status.tokens) {
    text += "token \"" + token.token + "\": " + std::to_string(token.workers) + " of " +
            std::to_string(token.configured) + " workers";
    if (!token.problem.empty()) text += "; " + token.problem;
    text += "\n";
  }
  return text;
}

// Nobody answers: what the pid files of a development directory still show.
Result<void> answer_down(Context& context, const Error& why) {
  std::string text = "hsm-signerd: down\n";
  std::vector<std::string> tokens;
  if (!context.globals().dir.empty()) {
    TRY(const std::string directory, context.directory("status"));
    TRY(const SignerConfig config, context.config());
    for (const DaemonFiles& daemon : daemons_of(directory, config)) {
      if (daemon.program == "hsm-signerd") continue;
      const bool running = find_running(daemon).pidfd.valid();
      text += daemon.name + (running ? ": running\n" : ": down\n");
      tokens.push_back(Json{}.text("daemon", daemon.name).boolean("running", running).done());
    }
  }
  Json json;
  json.boolean("running", false).text("problem", why.sentence()).raw("tokens", json_array(tokens));
  context.answer(json, text);
  return fail(why);
}

Result<void> verdict(const wire::Status& status) {
  if (!status.problem.empty())
    return fail(Code::audit_unavailable, "the signer does not sign", status.problem);
  for (const wire::TokenStatus& token : status.tokens) {
    if (token.workers == 0)
      return fail(Code::token_unavailable, "no worker serves token", "\"" + token.token + "\"");
  }
  return {};
}

}  // namespace

Result<void> status(Context& context) {
  TRY_VOID(context.config());
  auto admin = context.admin();
  if (!admin && exit_status(admin.error().code) == 3) return answer_down(context, admin.error());
  if (!admin) return fail(admin.error());
  TRY(const wire::Status now, admin->call<wire::Status>(wire::StatusQuery{}));
  TRY(const SwitchView set, view_switches(*admin));
  context.answer(status_json(now, set), status_text(now, set));
  return verdict(now);
}

Result<void> drain(Context& context) {
  TRY(client::Client admin, context.admin());
  TRY_VOID(admin.call<wire::Done>(wire::Drain{}));
  Json json;
  json.boolean("draining", true);
  context.answer(json, "hsm-signerd finishes what runs, then ends\n");
  return {};
}

}  // namespace hsm::ctl

// Switches, leases and panic: what an operator types when something is wrong.
#include "hsm_signer/base/duration.h"
#include "hsm_signer/ctl/signed_json.h"
#include "hsm_signer/ctl/verbs.h"
#include "hsm_signer/policy/switches.h"
#include "hsm_signer/wire/switches.h"

namespace hsm::ctl {
namespace {

constexpr std::size_t kStatementLimit = 32 * 1024;  // officers::kBundleLimit
constexpr std::string_view kRevoke =
    "The exchange's page is the only end for a key whose secret may be known: revoke it there.\n";

Result<policy::Subject> subject_of(const SwitchOptions& options) {
  const int given =
      (options.key.empty() ? 0 : 1) + (options.client.empty() ? 0 : 1) + (options.all ? 1 : 0);
  if (given != 1) return fail(Code::usage, "name one: --key NAME, --client NAME or --all");
  if (options.all) return policy::Subject::make("all", {});
  if (options.key.empty()) return policy::Subject::make("client", options.client);
  return policy::Subject::make("key", options.key);
}

std::string kind_of(const policy::Subject& subject) {
  const std::string text = subject.text();
  return text.substr(0, text.find(':'));
}

Result<void> check_reason(const std::string& reason) {
  if (policy::is_reason(reason)) return {};
  return fail(Code::usage, "a reason is printable ASCII, at most 200 characters");
}

Result<std::string> statement_of(const SwitchOptions& options) {
  if (options.statement.empty()) return std::string{};
  return read_input(options.statement, kStatementLimit);
}

Result<void> throw_switch(Context& context, const SwitchOptions& options, policy::Switch what) {
  TRY(const policy::Subject subject, subject_of(options));
  TRY_VOID(check_reason(options.reason));
  TRY(client::Client admin, context.admin());
  TRY_VOID(admin.call<wire::Done>(wire::SetSwitch{.kind = kind_of(subject),
                                                  .name = subject.name,
                                                  .what = std::string{name(what)},
                                                  .reason = options.reason}));
  Json json;
  json.text("subject", subject.text()).text("switch", name(what));
  context.answer(json, subject.text() + " is " +
                           (what == policy::Switch::frozen ? "frozen" : "set to cancel only") +
                           ", from the next request on\n");
  return {};
}

Result<std::vector<wire::SwitchItem>> list_switches(client::Client& admin) {
  std::vector<wire::SwitchItem> all;
  for (;;) {
    TRY(const wire::SwitchList page, admin.call<wire::SwitchList>(wire::ListSwitches{
                                         .offset = static_cast<std::uint32_t>(all.size())}));
    all.insert(all.end(), page.switches.begin(), page.switches.end());
    if (page.switches.empty() || all.size() >= page.total) return all;
  }
}

std::string subject_text(const wire::SwitchItem& item) {
  return item.name.empty() ? item.kind : item.kind + ":" + item.name;
}

Json item_json(const wire::SwitchItem& item) {
  Json json;
  json.text("subject", subject_text(item)).text("switch", item.what);
  if (!item.what.empty())
    json.text("since", item.since).number("uid", item.uid).text("reason", item.reason);
  json.text("lease_until", item.lease_until).boolean("lapsed", item.lapsed);
  return json;
}

std::string line_of(const wire::SwitchItem& item) {
  std::string line = subject_text(item) + ":";
  if (!item.what.empty()) {
    line += " " + item.what + " since " + item.since + " by uid " + std::to_string(item.uid);
    if (!item.reason.empty()) line += ", \"" + item.reason + "\"";
  }
  if (item.lease_until.empty()) return line;
  return line + (item.what.empty() ? " lease until " : "; lease until ") + item.lease_until +
         (item.lapsed ? ", LAPSED" : "");
}

Json panic_json(const wire::Panicked& answer) {
  std::vector<std::string> steps;
  for (const wire::PanicStep& step : answer.steps) {
    Json json;
    json.text("step", step.step)
        .boolean("done", step.code.empty())
        .text("code", step.code)
        .text("sentence", step.sentence);
    if (step.step == "cancel_all" && !answer.cancel_all.empty())
      json.raw("signed", signed_json(answer.cancel_all[0]).done());
    if (step.step == "burn" && !answer.burn.empty())
      json.raw("signed", signed_json(answer.burn[0]).done());
    steps.push_back(json.done());
  }
  std::vector<std::string> unspent;
  for (const wire::UnspentItem& item : answer.unspent) {
    Json json;
    json.number("audit_seq", item.audit_sequence)
        .text("endpoint", item.endpoint)
        .text("nonce", item.nonce)
        .text("time", item.time);
    unspent.push_back(json.done());
  }
  std::vector<std::string> also;
  for (const wire::KeyNameItem& name : answer.also_frozen) also.push_back('"' + name.key + '"');
  Json json;
  json.raw("steps", json_array(steps))
      .raw("also_frozen", json_array(also))
      .raw("unspent", json_array(unspent))
      .number("unspent_more", answer.unspent_more)
      .text("nonce", answer.nonce_form);
  return json;
}

std::string curl_of(const char* what, const char* endpoint, const wire::Signed& request) {
  return std::string{what} + "  curl -X POST $EXCHANGE" + endpoint +
         " \\\n    -H 'Content-Type: text/plain' -H 'X-GEMINI-APIKEY: " + request.api_key_id +
         "' \\\n    -H 'X-GEMINI-PAYLOAD: " + request.payload_base64 +
         "' \\\n    -H 'X-GEMINI-SIGNATURE: " + request.signature + "'\n";
}

std::string unspent_text(const wire::Panicked& answer) {
  if (answer.unspent.empty() && answer.unspent_more == 0)
    return "No other signature of this key is known that the exchange might still take.\n";
  std::vector<std::vector<std::string>> rows{{"AUDIT", "TIME", "ENDPOINT", "NONCE"}};
  for (const wire::UnspentItem& item : answer.unspent)
    rows.push_back({std::to_string(item.audit_sequence), item.time, item.endpoint, item.nonce});
  std::string text =
      "Released, and possibly not yet used, until the exchange has seen the second:\n" +
      table(rows);
  if (answer.unspent_more != 0)
    text += "and " + std::to_string(answer.unspent_more) + " older ones: see the audit log\n";
  if (answer.nonce_form.ends_with("-s"))
    text += "If this API key is time-based, the second burns nothing: wait 60 s.\n";
  return text;
}

std::string panic_text(const wire::Panicked& answer) {
  std::string text;
  for (const wire::PanicStep& step : answer.steps)
    text += step.step + ": " + (step.code.empty() ? "done" : step.sentence) + "\n";
  for (const wire::KeyNameItem& name : answer.also_frozen)
    text += "also frozen: " + name.key + ", another name of this API key\n";
  if (!answer.cancel_all.empty() || !answer.burn.empty())
    text +=
        "Send these, in this order, from an address that the key trusts "
        "(EXCHANGE=https://api.gemini.com, or the sandbox's):\n";
  if (!answer.cancel_all.empty())
    text += curl_of("1", "/v1/order/cancel/all", answer.cancel_all[0]);
  if (!answer.burn.empty()) text += curl_of("2", "/v1/heartbeat", answer.burn[0]);
  return text + unspent_text(answer) + std::string{kRevoke};
}

}  // namespace

Result<SwitchView> view_switches(client::Client& admin) {
  TRY(const std::vector<wire::SwitchItem> items, list_switches(admin));
  SwitchView view;
  std::vector<std::string> list;
  for (const wire::SwitchItem& item : items) {
    view.lines.push_back(line_of(item));
    list.push_back(item_json(item).done());
  }
  view.json = json_array(list);
  return view;
}

Result<void> freeze(Context& context, const SwitchOptions& options) {
  return throw_switch(context, options, policy::Switch::frozen);
}

Result<void> cancel_only(Context& context, const SwitchOptions& options) {
  return throw_switch(context, options, policy::Switch::cancel_only);
}

Result<void> thaw(Context& context, const SwitchOptions& options) {
  TRY(const policy::Subject subject, subject_of(options));
  TRY_VOID(check_reason(options.reason));
  TRY(std::string statement, statement_of(options));
  TRY(client::Client admin, context.admin());
  TRY_VOID(admin.call<wire::Done>(wire::Thaw{.kind = kind_of(subject),
                                             .name = subject.name,
                                             .reason = options.reason,
                                             .statement = std::move(statement)}));
  Json json;
  json.text("subject", subject.text()).text("switch", "");
  context.answer(json, "the switch of " + subject.text() +
                           " is lifted; see hsm-signerctl switches for what else is set\n");
  return {};
}

Result<void> lease(Context& context, const SwitchOptions& options) {
  TRY(const policy::Subject subject, subject_of(options));
  if (options.length.empty() != options.end)
    return fail(Code::usage, "a lease needs --for DURATION, or --end");
  wire::SetLease ask{.kind = kind_of(subject), .name = subject.name, .seconds = 0, .statement = {}};
  if (!options.end) {
    const auto length = parse_duration(options.length);
    if (!length || *length > policy::kLongestLease || *length < policy::kShortestLease)
      return fail(Code::usage, "a duration is a number and s, m, h or d, at most 7d");
    ask.seconds = static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::seconds>(*length).count());
  }
  TRY(ask.statement, statement_of(options));
  TRY(client::Client admin, context.admin());
  TRY(const wire::LeaseSet set, admin.call<wire::LeaseSet>(ask));
  Json json;
  json.text("subject", subject.text()).text("lease_until", set.until);
  context.answer(json, options.end ? "the lease of " + subject.text() + " is ended\n"
                                   : subject.text() + " signs until " + set.until +
                                         ", then only cancels, unless the lease is renewed\n");
  return {};
}

Result<void> switches(Context& context) {
  TRY(client::Client admin, context.admin());
  TRY(const std::vector<wire::SwitchItem> items, list_switches(admin));
  std::vector<std::string> list;
  std::vector<std::vector<std::string>> rows{{"FOR", "SWITCH", "SINCE", "BY", "LEASE", "REASON"}};
  for (const wire::SwitchItem& item : items) {
    list.push_back(item_json(item).done());
    const bool none = item.what.empty();
    rows.push_back(
        {subject_text(item), none ? "-" : item.what, none ? "-" : item.since,
         none ? "-" : "uid " + std::to_string(item.uid),
         item.lease_until.empty() ? "-" : item.lease_until + (item.lapsed ? " LAPSED" : ""),
         item.reason});
  }
  Json json;
  json.raw("switches", json_array(list));
  context.answer(json, items.empty() ? "no switch is set, no lease runs\n" : table(rows));
  return {};
}

Result<void> panic(Context& context, const PanicOptions& options) {
  if (!is_name(options.key))
    return fail(Code::usage, "a key name must match [a-z0-9][a-z0-9._-]{0,31}");
  TRY_VOID(check_reason(options.reason));
  TRY(client::Client admin, context.admin());
  TRY(const wire::Panicked answer,
      admin.call<wire::Panicked>(
          wire::Panic{.key = options.key, .account = options.account, .reason = options.reason}));
  context.answer(panic_json(answer), panic_text(answer));
  for (const wire::PanicStep& step : answer.steps) {
    if (!step.code.empty())
      return fail(code_from_name(step.code), "not every step of the panic was done", step.step);
  }
  return {};
}

}  // namespace hsm::ctl

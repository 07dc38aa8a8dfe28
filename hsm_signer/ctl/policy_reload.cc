#include "hsm_signer/ctl/verbs.h"
#include "hsm_signer/officers/bundle.h"
#include "hsm_signer/wire/policy.h"

namespace hsm::ctl {
namespace {

std::string reloaded_text(const wire::PolicyInForce& now) {
  std::string text = now.old_sha256 == now.sha256 ? "the same policy is in force again: serial "
                                                  : "another policy is in force: serial ";
  text += std::to_string(now.serial) + " (was " + std::to_string(now.old_serial) + "), " +
          std::to_string(now.clients) + " clients, " + std::to_string(now.rules) +
          " rules\nsha256 " + now.sha256 + "\nwas    " + now.old_sha256 + "\n";
  for (const wire::BegunWindow& one : now.windows)
    text += "a window may lack what was signed before: " + one.window + "\n";
  if (now.begun > now.windows.size())
    text += "and " + std::to_string(now.begun - now.windows.size()) + " windows more\n";
  return text;
}

}  // namespace

Result<void> policy_reload(Context& context, const PolicyOptions& options) {
  wire::ReloadPolicy ask;
  if (!options.statement.empty()) {
    TRY(ask.statement, read_input(options.statement, officers::kBundleLimit));
  }
  TRY(client::Client admin, context.admin());
  TRY(const wire::PolicyInForce now, admin.call<wire::PolicyInForce>(ask));
  std::vector<std::string> windows;
  for (const wire::BegunWindow& one : now.windows) {
    Json item;
    item.text("window", one.window);
    windows.push_back(item.done());
  }
  Json json;
  json.text("old_sha256", now.old_sha256)
      .text("sha256", now.sha256)
      .number("old_serial", now.old_serial)
      .number("serial", now.serial)
      .number("clients", now.clients)
      .number("rules", now.rules)
      .number("begun", now.begun)
      .raw("windows", json_array(windows));
  context.answer(json, reloaded_text(now));
  return {};
}

}  // namespace hsm::ctl

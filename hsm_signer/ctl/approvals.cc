// Requests that wait for officers. list, show, submit and reject ask the signer; sign works on an
// officer's own machine too, with a file.
#include <filesystem>

#include "hsm_signer/ctl/admin_call.h"
#include "hsm_signer/ctl/confirm.h"
#include "hsm_signer/ctl/in_words.h"
#include "hsm_signer/ctl/ssh_keygen.h"
#include "hsm_signer/ctl/verbs.h"
#include "hsm_signer/officers/bundle.h"

namespace hsm::ctl {
namespace {

Json approval_json(const wire::ApprovalItem& item) {
  Json json;
  json.text("id", item.id)
      .text("state", item.state)
      .text("client", item.client)
      .text("key", item.key)
      .text("api_key_id", item.api_key_id)
      .text("environment", item.environment)
      .text("endpoint", item.endpoint)
      .text("rule", item.rule)
      .text("group", item.group)
      .number("need", item.need)
      .text("officers", item.officers)
      .text("requester", item.requester)
      .text("created", item.created)
      .text("expires", item.expires)
      .text("remark", item.remark);
  if (!item.text.empty()) json.text("text", item.text);
  return json;
}

std::string signed_by(const wire::ApprovalItem& item) {
  return (item.officers.empty() ? "nobody" : item.officers) + " of " + std::to_string(item.need);
}

Result<std::vector<wire::ApprovalItem>> all_approvals(client::Client& admin) {
  std::vector<wire::ApprovalItem> all;
  for (;;) {
    const wire::ListApprovals ask{.id = {}, .offset = static_cast<std::uint32_t>(all.size())};
    TRY(const wire::ApprovalList page, admin.call<wire::ApprovalList>(ask));
    all.insert(all.end(), page.approvals.begin(), page.approvals.end());
    if (page.approvals.empty() || all.size() >= page.total) return all;
  }
}

Result<wire::ApprovalItem> one_approval(client::Client& admin, const std::string& id) {
  const wire::ListApprovals ask{.id = id, .offset = 0};
  TRY(wire::ApprovalList list, admin.call<wire::ApprovalList>(ask));
  if (list.approvals.size() != 1 || list.approvals.front().id != id)
    return fail(Code::protocol_error, "hsm-signerd has answered about another approval");
  return std::move(list.approvals.front());
}

// What is shown is read from the text that is signed, not from what else the signer says.
Result<std::string> shown(const std::string& text) {
  TRY(const officers::Statement statement, officers::Statement::parse(text));
  return in_words(statement);
}

std::string text_of(const std::string& content) {
  return content.substr(0, content.find("-----BEGIN SSH SIGNATURE-----\n"));
}

Result<void> ask_officer(Context& context, const std::string& text, bool yes) {
  TRY(const std::string words, shown(text));
  if (!context.json()) context.out() << words;
  if (yes) return {};
  return confirm("Sign this?", "nothing was signed");
}

void answer_item(Context& context, const wire::ApprovalItem& item) {
  context.answer(approval_json(item), "approval " + item.id + " is " + item.state + ": signed by " +
                                          signed_by(item) + " of group \"" + item.group + "\"\n");
}

// On this machine alone: the file then holds one signature more.
Result<void> sign_file(Context& context, const ApprovalOptions& options) {
  TRY(const std::string content, read_input(options.what, officers::kBundleLimit));
  const std::string text = text_of(content);
  TRY_VOID(ask_officer(context, text, options.yes));
  TRY(const officers::Signature signature, ssh_sign(options.key, text));
  const std::string bundle = content + signature.to_text();
  TRY_VOID(officers::Bundle::parse(bundle));
  const std::string output = options.output.empty() ? options.what : options.output;
  TRY_VOID(write_file_atomic(output, as_bytes(bundle), 0644));
  Json json;
  json.text("file", output);
  context.answer(json, "signed; " + output + " has the signature\n");
  return {};
}

}  // namespace

Result<void> approvals_list(Context& context) {
  TRY(client::Client admin, context.admin());
  TRY(const std::vector<wire::ApprovalItem> all, all_approvals(admin));
  std::vector<std::vector<std::string>> rows{
      {"APPROVAL", "STATE", "CLIENT", "KEY", "ENDPOINT", "SIGNED BY", "UNTIL"}};
  std::vector<std::string> items;
  for (const wire::ApprovalItem& item : all) {
    rows.push_back(
        {item.id, item.state, item.client, item.key, item.endpoint, signed_by(item), item.expires});
    items.push_back(approval_json(item).done());
  }
  Json json;
  json.raw("approvals", json_array(items));
  context.answer(json, all.empty() ? "nothing waits for officers\n" : table(rows));
  return {};
}

Result<void> approvals_show(Context& context, const ApprovalOptions& options) {
  TRY(client::Client admin, context.admin());
  TRY(const wire::ApprovalItem item, one_approval(admin, options.what));
  if (options.text) {
    context.answer(approval_json(item), item.text);
    return {};
  }
  TRY(const std::string words, shown(item.text));
  std::string more = "rule \"" + item.rule + "\", signed by " + signed_by(item) + " of group \"" +
                     item.group + "\"\n";
  if (!item.remark.empty()) more += "the token host said: " + item.remark + "\n";
  context.answer(approval_json(item), words + more);
  return {};
}

Result<void> approvals_sign(Context& context, const ApprovalOptions& options) {
  std::error_code ignored;
  if (options.what == "-")
    return fail(Code::usage, "what is signed is asked about on the terminal: name a file");
  if (std::filesystem::exists(options.what, ignored)) return sign_file(context, options);
  if (!options.what.starts_with("a-"))
    return fail(Code::usage, "neither a file nor the id of a request that waits", options.what);
  TRY(client::Client admin, context.admin());
  TRY(const wire::ApprovalItem item, one_approval(admin, options.what));
  TRY(const officers::Statement statement, officers::Statement::parse(item.text));
  if (statement.id != options.what)
    return fail(Code::protocol_error, "hsm-signerd has sent another statement than that asked for");
  TRY_VOID(ask_officer(context, item.text, options.yes));
  TRY(const officers::Signature signature, ssh_sign(options.key, item.text));
  TRY(client::Client again, context.admin());  // An officer may take a while.
  const wire::SubmitApproval submit{.id = item.id, .bundle = item.text + signature.to_text()};
  TRY(const wire::ApprovalItem now, again.call<wire::ApprovalItem>(submit));
  answer_item(context, now);
  return {};
}

Result<void> approvals_submit(Context& context, const ApprovalOptions& options) {
  wire::SubmitApproval ask{.id = options.what, .bundle = {}};
  TRY(ask.bundle, read_input(options.file, officers::kBundleLimit));
  TRY(client::Client admin, context.admin());
  TRY(const wire::ApprovalItem item, admin.call<wire::ApprovalItem>(ask));
  answer_item(context, item);
  return {};
}

Result<void> approvals_reject(Context& context, const ApprovalOptions& options) {
  TRY(client::Client admin, context.admin());
  const wire::RejectApproval ask{.id = options.what, .reason = options.reason};
  TRY_VOID(admin.call<wire::Done>(ask));
  Json json;
  json.text("rejected", options.what);
  context.answer(json, "approval " + options.what + " is rejected\n");
  return {};
}

}  // namespace hsm::ctl

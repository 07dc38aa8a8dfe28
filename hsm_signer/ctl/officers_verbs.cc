// Verbs for officers: approvals and statements.
#include "hsm_signer/ctl/commands.h"

namespace hsm::ctl {
namespace {

void add_signing(CLI::App& app, ApprovalOptions& options) {
  app.add_option("--key", options.key, "The officer's key file, as ssh-keygen -f takes it")
      ->required();
  app.add_option("-o,--output", options.output, "Of a file: write here instead of into it");
  app.add_flag("--yes", options.yes, "Do not ask");
}

void add_statement_lines(CLI::App& make, StatementOptions& options) {
  make.add_option("--host", options.host, "Where it counts; else asked of hsm-signerd");
  make.add_option("--id", options.id, "Each counts once; else made");
  make.add_option("--requester", options.requester, "The officer who wants it and never counts");
  make.add_option("--key", options.key, "Name of a key");
  make.add_option("--version", options.version, "Of the key");
  make.add_option("--api-key", options.api_key, "The exchange's id of the key");
  make.add_option("--environment", options.environment, "sandbox or production");
  make.add_option("--roles", options.roles, "import: trader,fund_manager,auditor,administrator");
  make.add_option("--scope", options.scope, "import: account, master; thaw: key, client, all");
  make.add_option("--token", options.token, "import: which token");
  make.add_option("--name", options.name, "thaw: of the key or client");
  make.add_option("--serial", options.serial, "policy, client-add: of the policy to come");
  make.add_option("--sha256", options.sha256, "policy: of its file");
  make.add_option("--client", options.client, "client-add: its name");
  make.add_option("--uid", options.uid, "client-add: a number");
  make.add_option("--mark", options.mark, "nonce-raise: the new mark");
  make.add_option("--before", options.before, "retention: records up to then");
  make.add_option("--within", options.within, "How long it counts, at most 24h")
      ->capture_default_str();
  make.add_option("-o,--output", options.output, "Default: standard output");
}

}  // namespace

void add_approval_verbs(CLI::App& app, Commands& commands) {
  CLI::App& approvals = *app.add_subcommand("approvals", "Requests that wait for officers");
  approvals.require_subcommand(0, 1);
  ApprovalOptions& options = commands.approval;
  commands.choose(add(approvals, "list", "What waits, and who has signed", "approvals list"),
                  &ctl::approvals_list);
  CLI::App& show = add(approvals, "show", "One of them, in words",
                       "approvals show a-0123456789abcdef01234567 --text > withdrawal.statement");
  show.add_option("ID", options.what)->required();
  show.add_flag("--text", options.text, "What officers sign, and nothing else");
  commands.choose(show, &ctl::approvals_show, options);
  CLI::App& sign = add(approvals, "sign", "Show it, ask, and sign it with ssh-keygen",
                       "approvals sign withdrawal.statement --key ~/.ssh/id_officer");
  sign.add_option("ID_OR_FILE", options.what, "A file is signed without any daemon")->required();
  add_signing(sign, options);
  commands.choose(sign, &ctl::approvals_sign, options);
  CLI::App& submit = add(approvals, "submit", "Bring officers' signatures",
                         "approvals submit a-0123456789abcdef01234567 withdrawal.statement");
  submit.add_option("ID", options.what)->required();
  submit.add_option("FILE", options.file, "Text and signatures ('-': standard input)")->required();
  commands.choose(submit, &ctl::approvals_submit, options);
  CLI::App& reject = add(approvals, "reject", "It will not be signed",
                         "approvals reject a-0123456789abcdef01234567 --reason 'not asked for'");
  reject.add_option("ID", options.what)->required();
  reject.add_option("--reason", options.reason, "Stands in the audit log")->required();
  commands.choose(reject, &ctl::approvals_reject, options);
}

void add_statement_verbs(CLI::App& app, Commands& commands) {
  CLI::App& statement = *app.add_subcommand("statement", "Officers' statements of other acts");
  statement.require_subcommand(0, 1);
  StatementOptions& options = commands.statement;
  CLI::App& make = add(statement, "make", "Write one, to be signed",
                       "statement make destroy --key desk-a.trade --version 1 -o d.statement");
  make.add_option("VERB", options.verb,
                  "policy|thaw|import|activate|destroy|client-add|nonce-raise|retention")
      ->required();
  add_statement_lines(make, options);
  commands.choose(make, &ctl::statement_make, options);
  CLI::App& sign = add(statement, "sign", "As approvals sign",
                       "statement sign d.statement --key ~/.ssh/id_officer");
  sign.add_option("FILE", commands.approval.what)->required();
  add_signing(sign, commands.approval);
  commands.choose(sign, &ctl::approvals_sign, commands.approval);
  CLI::App& show =
      add(statement, "show", "One of any verb, in words", "statement show d.statement");
  show.add_option("FILE", options.verb, "'-': standard input")->required();
  commands.choose(show, &ctl::statement_show, options);
  CLI::App& submit = add(statement, "submit", "Do what was stated: activate, destroy, approve",
                         "statement submit d.statement");
  submit.add_option("FILE", options.verb)->required();
  commands.choose(submit, &ctl::statement_submit, options);
}

}  // namespace hsm::ctl

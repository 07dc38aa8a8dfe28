#include "hsm_signer/ctl/command_line.h"

#include <algorithm>
#include <numeric>
#include <ostream>

#include "hsm_signer/base/result.h"
#include "hsm_signer/ctl/commands.h"
#include "hsm_signer/ctl/secret.h"

namespace hsm::ctl {

CLI::App& add(CLI::App& parent, const std::string& verb, const std::string& what,
              const std::string& example) {
  CLI::App& app = *parent.add_subcommand(verb, what);
  app.footer("Example: hsm-signerctl " + example);
  return app;
}

namespace {

constexpr std::size_t kMostEdits = 2;

void add_globals(CLI::App& app, Globals& globals) {
  app.add_option("--dir", globals.dir,
                 "Development directory; stands for --config DIR/signer.toml");
  app.add_option("--config", globals.config, "Default: /etc/hsm-signer/signer.toml");
  app.add_option("--socket", globals.socket,
                 "Client socket; else that of --dir or --config, $HSM_SIGNER_SOCKET, "
                 "/run/hsm-signer/signer.sock");
  app.add_flag("--json", globals.json, "Answer in JSON");
}

void add_directory_verbs(CLI::App& app, Commands& commands) {
  CLI::App& init =
      add(app, "init", "Make a development directory with a SoftHSM token", "--dir ./dev init");
  init.add_option("--token", commands.init.token, "Name of the token")->capture_default_str();
  init.add_option("--workers", commands.init.workers, "Signing workers")->capture_default_str();
  commands.choose(init, &ctl::init, commands.init);
  commands.choose(add(app, "up", "Start the daemons of a development directory", "--dir ./dev up"),
                  &ctl::up);
  commands.choose(
      add(app, "down", "Stop the daemons of a development directory", "--dir ./dev down"),
      &ctl::down);
  commands.choose(add(app, "status", "What runs, and whether it can sign", "--dir ./dev status"),
                  &ctl::status);
  commands.choose(add(app, "drain", "Let hsm-signerd finish what runs, then end", "drain"),
                  &ctl::drain);
}

void add_import(CLI::App& key, Commands& commands) {
  ImportOptions& import = commands.import;
  CLI::App& app = add(key, "import", "Bring an API secret into a token, encrypted to its wrap key",
                      "key import desk-a.trade --api-key account-AbC123 --environment sandbox "
                      "--roles trader --nonce signer-ms");
  app.add_option("NAME", import.name, "[a-z0-9][a-z0-9._-]{0,31}")->required();
  app.add_option("--api-key", import.api_key, "The exchange's id of the key")->required();
  app.add_option("--environment", import.environment, "sandbox or production")->required();
  app.add_option("--roles", import.roles, "trader,fund_manager,auditor,administrator")->required();
  app.add_option("--nonce", import.nonce,
                 "signer-ms|signer-us|signer-s|caller-s|caller-ms|caller-us|caller-ns; "
                 "caller = caller-ms")
      ->required();
  app.add_option("--scope", import.scope, "account or master")->capture_default_str();
  app.add_option("--token", import.token, "Which token; may be left out where there is one");
  app.add_option("--secret-file", import.secret_file,
                 "Read the secret here ('-': standard input) instead of asking for it");
  app.add_option("--blob", import.blob, "What 'wrap' made, instead of a secret");
  app.add_option("--statement", import.statement, "Officers' statement, where they are asked");
  commands.choose(app, &ctl::key_import, import);
}

void add_key_verbs(CLI::App& app, Commands& commands) {
  CLI::App& key = *app.add_subcommand("key", "Keys and their versions");
  key.require_subcommand(0, 1);
  add_import(key, commands);
  KeyOptions& options = commands.key;
  CLI::App& list = add(key, "list", "Every version of every key", "key list");
  list.add_option("NAME", options.name, "Only this key");
  commands.choose(list, &ctl::key_list, options);
  CLI::App& show = add(key, "show", "All that is known of a key", "key show desk-a.trade");
  show.add_option("NAME", options.name)->required();
  commands.choose(show, &ctl::key_show, options);
  CLI::App& check = add(key, "check", "Compare registry and token", "key check --mend");
  check.add_option("NAME", options.name, "Only this key");
  check.add_flag("--mend", options.mend, "Finish or give up what a cut-off import left behind");
  check.add_flag("--yes", options.yes,
                 "With --mend: also destroy objects that the registry does not know, for ever");
  commands.choose(check, &ctl::key_check, options);
  CLI::App& activate = add(key, "activate", "Let a staged version sign",
                           "key activate desk-a.trade --statement activate.statement");
  activate.add_option("NAME", options.name)->required();
  activate.add_option("--version", options.version, "Which version, where several are staged")
      ->check(CLI::PositiveNumber);
  activate.add_option("--statement", options.statement,
                      "Officers' statement, where they are asked");
  commands.choose(activate, &ctl::key_activate, options);
  CLI::App& destroy = add(key, "destroy", "Destroy a key in its token, for ever",
                          "key destroy desk-a.trade --version 1");
  destroy.add_option("NAME", options.name)->required();
  destroy.add_option("--version", options.version, "Which version, where there are several")
      ->check(CLI::PositiveNumber);
  destroy.add_flag("--yes", options.yes, "Do not ask");
  destroy.add_option("--statement", options.statement, "Officers' statement, where they are asked");
  commands.choose(destroy, &ctl::key_destroy, options);
}

void add_wrap(CLI::App& app, Commands& commands) {
  CLI::App& wrap = add(app, "wrap", "Encrypt a secret to a token's wrap key, offline",
                       "wrap --token-key wrap-dev.pub.pem -o desk-a.blob");
  wrap.add_option("--token-key", commands.wrap.token_key, "wrap-<token>.pub.pem")->required();
  wrap.add_option("--secret-file", commands.wrap.secret_file,
                  "Read the secret here ('-': standard input) instead of asking for it");
  wrap.add_option("-o,--output", commands.wrap.output, "Default: standard output");
  commands.choose(wrap, &ctl::wrap, commands.wrap);
}

void add_request_verbs(CLI::App& app, Commands& commands) {
  CLI::App& sign = add(app, "sign", "Sign a request as a trading program would",
                       "sign desk-a.trade --request balances.json");
  sign.add_option("NAME", commands.sign.key)->required();
  sign.add_option("--request", commands.sign.request, "JSON ('-': standard input) without nonce");
  sign.add_option("--verbatim", commands.sign.verbatim, "Exact payload ('-': standard input)");
  sign.add_option("--deadline", commands.sign.deadline_ms, "Milliseconds; default: the signer's");
  commands.choose(sign, &ctl::sign, commands.sign);
  CLI::App& explain = add(app, "explain", "What would happen to a request, and by which rule",
                          "explain desk-a.trade --request withdraw.json");
  explain.add_option("NAME", commands.explain.key)->required();
  explain.add_option("--request", commands.explain.request, "JSON ('-': standard input)")
      ->required();
  commands.choose(explain, &ctl::explain, commands.explain);
  commands.choose(add(app, "ping", "Whether hsm-signerd answers", "ping"), &ctl::ping);
  commands.choose(add(app, "whoami", "Who the policy says you are", "whoami"), &ctl::whoami);
  commands.choose(add(app, "keys", "The keys that you may use", "keys"), &ctl::keys);
}

void add_paper_verbs(CLI::App& policy, PolicyOptions& options, Commands& commands) {
  const auto add_questions = [&](CLI::App& verb) {
    verb.add_option("FILE", options.questions, "Questions, JSON lines ('-': standard input)")
        ->required();
    verb.add_option("--policy", options.policy, "Default: that of signer.toml");
    verb.add_option("--at", options.at, "When questions without a time are asked; default: now");
  };
  CLI::App& simulate = add(policy, "simulate", "What a policy decides of many requests",
                           "policy simulate questions.jsonl --policy policy.toml");
  add_questions(simulate);
  commands.choose(simulate, &ctl::policy_simulate, options);
  CLI::App& explain = add(policy, "explain", "What a policy decides of one request, rule by rule",
                          "policy explain question.jsonl --policy policy.toml");
  add_questions(explain);
  commands.choose(explain, &ctl::policy_explain, options);
}

void add_policy_verbs(CLI::App& app, Commands& commands) {
  PolicyOptions& options = commands.policy;
  CLI::App& policy = *app.add_subcommand("policy", "The policy file");
  policy.require_subcommand(0, 1);
  CLI::App& check =
      add(policy, "check", "Read a policy as hsm-signerd would", "policy check policy.toml");
  check.add_option("FILE", options.policy, "Default: that of signer.toml");
  commands.choose(check, &ctl::policy_check, options);
  CLI::App& lint = add(policy, "lint", "What a policy allows although nobody may have meant it",
                       "policy lint policy.toml --strict");
  lint.add_option("FILE", options.policy, "Default: that of signer.toml");
  lint.add_flag("--strict", options.strict, "Exit with 1 where there is a warning");
  commands.choose(lint, &ctl::policy_lint, options);
  add_paper_verbs(policy, options, commands);
  CLI::App& reload =
      add(policy, "reload", "Put the policy's file in force, as it is now", "policy reload");
  reload.add_option("--statement", options.statement,
                    "What officers stated; else hsm-signerd looks beside the policy");
  commands.choose(reload, &ctl::policy_reload, options);
  CLI::App& snapshot = add(policy, "snapshot", "What a policy decides of a fixed list of requests",
                           "policy snapshot policy.toml > policy.decisions");
  snapshot.add_option("FILE", options.policy, "Default: that of signer.toml");
  snapshot.add_option("--corpus", options.corpus, "Other requests than the built-in ones");
  commands.choose(snapshot, &ctl::policy_snapshot, options);
  CLI::App& diff = add(policy, "diff", "What another policy decides otherwise, and looser",
                       "policy diff policy.toml policy-new.toml");
  diff.add_option("OLD", options.old_policy)->required();
  diff.add_option("NEW", options.policy)->required();
  diff.add_option("--corpus", options.corpus, "Other requests than the built-in ones");
  commands.choose(diff, &ctl::policy_diff, options);
}

// One set of options for all of them: one verb runs.
CLI::App& add_switch(CLI::App& app, Commands& commands, const char* verb, const char* what,
                     const char* example) {
  CLI::App& added = add(app, verb, what, example);
  added.add_option("--key", commands.switches.key, "Of this key");
  added.add_option("--client", commands.switches.client, "Of this client of the policy");
  added.add_flag("--all", commands.switches.all, "Of everybody");
  return added;
}

void add_incident_verbs(CLI::App& app, Commands& commands) {
  SwitchOptions& options = commands.switches;
  CLI::App& freeze =
      add_switch(app, commands, "freeze", "Sign nothing more, from the next request on",
                 "freeze --key desk-a.trade --reason 'fat finger'");
  CLI::App& cancel_only = add_switch(app, commands, "cancel-only",
                                     "Sign cancels, reads and heartbeats, and nothing else",
                                     "cancel-only --all --reason maintenance");
  CLI::App& thaw = add_switch(app, commands, "thaw", "Lift a freeze or cancel-only",
                              "thaw --key desk-a.trade --reason 'fixed in 1.2'");
  for (CLI::App* verb : {&freeze, &cancel_only, &thaw})
    verb->add_option("--reason", options.reason, "For clients and the audit log")->required();
  CLI::App& lease =
      add_switch(app, commands, "lease", "Sign only while somebody renews this; then cancels only",
                 "lease --key desk-a.trade --for 10m");
  lease.add_option("--for", options.length, "From now on: 90s, 10m, 8h, 2d; at most 7d");
  lease.add_flag("--end", options.end, "End it: nothing lapses any more");
  for (CLI::App* verb : {&thaw, &lease})
    verb->add_option("--statement", options.statement, "The officers' statement, where one is due");
  commands.choose(freeze, &ctl::freeze, options);
  commands.choose(cancel_only, &ctl::cancel_only, options);
  commands.choose(thaw, &ctl::thaw, options);
  commands.choose(lease, &ctl::lease, options);
  commands.choose(add(app, "switches", "What is frozen, set to cancel only or leased", "switches"),
                  &ctl::switches);
  CLI::App& panic =
      add(app, "panic", "Freeze a key; sign what ends its orders and burns its nonces",
          "panic desk-a.trade --reason 'stolen laptop'");
  panic.add_option("NAME", commands.panic.key)->required();
  panic.add_option("--account", commands.panic.account, "Whose orders, where the key is a master");
  panic.add_option("--reason", commands.panic.reason, "For clients and the audit log");
  commands.choose(panic, &ctl::panic, commands.panic);
}

void build(CLI::App& app, Commands& commands) {
  app.require_subcommand(0, 1);
  app.fallthrough();  // --json and --dir may stand behind the verb too.
  app.set_version_flag("--version", "hsm-signerctl " HSM_VERSION);
  app.footer(
      "Exit status: 0 done, 1 refused, 2 usage, 3 unavailable, 4 verification failed.\n"
      "Example: hsm-signerctl --dir ./dev sign desk-a.trade --request balances.json --json\n"
      "Manual: hsm-signerctl(1)");
  add_globals(app, commands.globals);
  add_directory_verbs(app, commands);
  add_key_verbs(app, commands);
  add_wrap(app, commands);
  add_request_verbs(app, commands);
  add_policy_verbs(app, commands);
  add_incident_verbs(app, commands);
  add_approval_verbs(app, commands);
  add_statement_verbs(app, commands);
  add_audit_verbs(app, commands);
}

// The deepest verb that was understood.
CLI::App& innermost(CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app : innermost(*chosen.front());
}

// "key destroy", as one types it.
std::string path_of(const CLI::App& app) {
  const CLI::App* parent = app.get_parent();
  if (parent == nullptr) return {};
  return path_of(*parent) + app.get_name() + " ";
}

// "--deadline" of "Could not convert: --deadline = 1x": CLI11's own sentences repeat values.
std::string option_of(std::string sentence) {
  const std::size_t at = sentence.find("--");
  if (at == std::string::npos) return "an argument";
  return sentence.substr(at, sentence.find_first_of(" :=", at) - at);
}

std::vector<std::string> verbs_of(const CLI::App& app) {
  std::vector<std::string> verbs;
  for (const CLI::App* verb : app.get_subcommands({})) verbs.push_back(verb->get_name());
  return verbs;
}

Error unexpected(CLI::App& app) {
  const CLI::App& where = innermost(app);
  const std::vector<std::string> extras = app.remaining(true);
  const std::string word = extras.empty() ? "" : extras.front();
  if (word.starts_with("-"))
    return {
        .code = Code::usage, .what = "unknown option", .detail = word.substr(0, word.find('='))};
  if (where.get_subcommands({}).empty())
    return {.code = Code::usage,
            .what = "one argument too many",
            .detail = "see hsm-signerctl " + path_of(where) + "--help"};
  const std::string near = nearest(word, verbs_of(where));
  return {.code = Code::usage,
          .what = "unknown verb",
          .detail = near.empty() ? "see --help" : "did you mean '" + near + "'?"};
}

Result<void> parse(CLI::App& app, int argc, const char* const* argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ExtrasError&) {
    return fail(unexpected(app));
  } catch (const CLI::RequiredError& error) {
    return fail(Code::usage, {}, error.what());
  } catch (const CLI::Success&) {
    throw;
  } catch (const CLI::ParseError& error) {
    return fail(
        Code::usage, "a value is missing or does not fit",
        option_of(error.what()) + "; see hsm-signerctl " + path_of(innermost(app)) + "--help");
  }
  return {};
}

// An empty name (a shell variable that is not set) would mean production.
Result<void> check_globals(const CLI::App& app) {
  for (const char* option : {"--dir", "--config", "--socket"}) {
    const CLI::Option* given = app.get_option(option);
    if (given->count() != 0 && given->results().back().empty())
      return fail(Code::usage, "an empty value", option);
  }
  if (app.get_option("--dir")->count() != 0 && app.get_option("--config")->count() != 0)
    return fail(Code::usage, "--dir and --config exclude each other",
                "--dir DIR stands for --config DIR/signer.toml");
  return {};
}

int report(const Error& error, bool json, std::ostream& out, std::ostream& err) {
  err << "hsm-signerctl: " << error.sentence() << " [" << name(error.code) << "]" << std::endl;
  if (!json) return exit_status(error.code);
  Json inner;
  inner.text("code", name(error.code)).text("message", error.sentence());
  if (error.retry_after_ms != 0) inner.number("retry_after_ms", error.retry_after_ms);
  if (!error.approval.empty()) inner.text("approval", error.approval);
  out << Json{}.raw("error", inner.done()).done() << std::endl;
  return exit_status(error.code);
}

}  // namespace

std::string nearest(std::string_view typed, const std::vector<std::string>& words) {
  std::string best;
  std::size_t least = kMostEdits + 1;
  for (const std::string& word : words) {
    std::vector<std::size_t> row(word.size() + 1);
    std::iota(row.begin(), row.end(), 0);
    for (std::size_t i = 0; i < typed.size(); ++i) {
      std::size_t diagonal = std::exchange(row[0], i + 1);
      for (std::size_t j = 0; j < word.size(); ++j) {
        const std::size_t replaced = diagonal + (typed[i] == word[j] ? 0 : 1);
        diagonal = row[j + 1];
        row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
      }
    }
    if (row.back() < least && row.back() < word.size()) {
      least = row.back();
      best = word;
    }
  }
  return best;
}

int run(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
  const std::vector<std::string_view> words(argv, argv + argc);
  const bool json = std::find(words.begin(), words.end(), "--json") != words.end();
  if (const auto fine = refuse_secret_arguments(words); !fine)
    return report(fine.error(), json, out, err);
  CLI::App app{"hsm-signerctl: administration of hsm-signer, and requests from the command line.",
               "hsm-signerctl"};
  Commands commands;
  build(app, commands);
  try {
    if (const auto fine = parse(app, argc, argv); !fine)
      return report(fine.error(), json, out, err);
  } catch (const CLI::Success& help) {
    return app.exit(help, out, err);
  }
  if (!commands.chosen) {
    err << innermost(app).help();
    return exit_status(Code::usage);
  }
  if (const auto fine = check_globals(app); !fine) return report(fine.error(), json, out, err);
  Context context{commands.globals, out, err};
  const Result<void> done = commands.chosen(context);
  if (done) return 0;
  return report(done.error(), json && !context.answered(), out, err);
}

}  // namespace hsm::ctl

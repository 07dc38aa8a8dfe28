// Verbs for auditors.
#include "hsm_signer/ctl/commands.h"

namespace hsm::ctl {
namespace {

// Of tail: they are held until the last is known.
constexpr int kMostLines = 1'000'000;

void add_log(CLI::App& app, std::string& directory) {
  app.add_option("DIR", directory, "The log's directory, or a copy of it")->required();
}

void add_anchor(CLI::App& app, std::string& anchor) {
  app.add_option("--anchor", anchor,
                 "Checkpoints kept elsewhere, each of which the log has to hold")
      // An unset variable of a script is not the wish to do without.
      ->check([](const std::string& path) {
        return path.empty() ? std::string{"must name a file"} : std::string{};
      });
}

void add_verify(CLI::App& audit, Commands& commands) {
  CLI::App& verify = add(audit, "verify", "Check a log, or a copy of one, offline",
                         "audit verify /var/lib/hsm-signer/audit --key audit.pub.pem");
  verify.add_option("DIR", commands.verify.directory, "The log's directory")->required();
  verify.add_option("--key", commands.verify.key, "audit.pub.pem")->required();
  add_anchor(verify, commands.verify.anchor);
  verify.add_flag("--allow-unsealed", commands.verify.allow_unsealed,
                  "Pass a log without any checkpoint, which nothing proves");
  commands.choose(verify, &ctl::audit_verify, commands.verify);
}

void add_proofs(CLI::App& audit, Commands& commands) {
  ProofOptions& options = commands.proof;
  CLI::App& prove = add(audit, "prove", "A file that proves one record to who has the public key",
                        "audit prove ./audit --seq 4711 --key audit.pub.pem -o 4711.tlog-proof");
  add_log(prove, options.directory);
  prove.add_option("--seq", options.seq, "Sequence of the record")
      ->required()
      ->check(CLI::PositiveNumber);
  prove.add_option("--key", options.key, "audit.pub.pem: refuse a checkpoint of another key");
  prove.add_option("-o,--output", options.output, "Default: standard output");
  commands.choose(prove, &ctl::audit_prove, options);
  CLI::App& check = add(audit, "check-proof", "Whether a proof holds, and of which record",
                        "audit check-proof 4711.tlog-proof --key audit.pub.pem");
  check.add_option("FILE", options.file, "What 'prove' or 'consistency' wrote")->required();
  check.add_option("--key", options.key, "audit.pub.pem")->required();
  check.add_option("--checkpoint", options.checkpoint,
                   "Of what 'consistency' wrote: the checkpoint that was kept");
  commands.choose(check, &ctl::audit_check_proof, options);
  CLI::App& growth = add(audit, "consistency", "Whether a log still contains what was noted before",
                         "audit consistency ./audit --checkpoint last-month.note");
  add_log(growth, options.directory);
  growth.add_option("--checkpoint", options.checkpoint, "A checkpoint that was kept");
  growth.add_option("--from", options.from, "Instead: how many records, as of then");
  growth.add_option("--to", options.to, "How many records; default: the last checkpoint's");
  growth.add_option("--key", options.key, "audit.pub.pem: verify the checkpoints too");
  growth.add_option("-o,--output", options.output, "Write the proof, for who has no log");
  commands.choose(growth, &ctl::audit_consistency, options);
}

void add_query(CLI::App& audit, Commands& commands) {
  QueryOptions& options = commands.query;
  CLI::App& query = add(audit, "query", "Records that match; with --json as they stand in the log",
                        "audit query ./audit --client mm-bot --verdict refuse --since 2026-03-01");
  add_log(query, options.directory);
  query.add_option("--key", options.key, "Name of a key");
  query.add_option("--client", options.client, "As the policy calls it");
  query.add_option("--api-key-id", options.api_key_id, "The exchange's id of a key");
  query.add_option("--kind", options.kind,
                   "sign, key, admin, start, stop, gap, usage, refusals or token");
  query.add_option("--verdict", options.verdict, "allow or refuse")
      ->check(CLI::IsMember({"allow", "refuse"}));
  query.add_option("--code", options.code, "Of a refusal: denied");
  query.add_option("--rule", options.rule, "That decided");
  query.add_option("--endpoint", options.endpoint, "/v1/order/new, or class:move");
  query.add_option("--reference", options.reference, "The caller's own");
  query.add_option("--since", options.since, "2026-03-01 or 2026-03-01T09:30:00Z");
  query.add_option("--until", options.until, "The same; up to, but without it");
  query.add_option("--seq", options.seq, "17, 17.., 17..20 or ..20");
  query.add_option("--limit", options.limit, "At most so many")->check(CLI::PositiveNumber);
  commands.choose(query, &ctl::audit_query, options);
}

void add_tail(CLI::App& audit, Commands& commands) {
  TailOptions& options = commands.tail;
  CLI::App& tail = add(audit, "tail", "The last records as JSON lines, and with -f those to come",
                       "audit tail /var/lib/hsm-signer/audit --after 4711 -f");
  add_log(tail, options.directory);
  CLI::Option* lines = tail.add_option("-n,--lines", options.lines, "The last so many")
                           ->capture_default_str()
                           ->check(CLI::Range(0, kMostLines));
  tail.add_option("--after", options.after, "Instead: all behind this sequence")->excludes(lines);
  tail.add_flag("-f,--follow", options.follow, "Go on with what is written, until interrupted");
  tail.add_flag("--journald", options.journald,
                "To the journal, with fields to search by, and not to standard output");
  commands.choose(tail, &ctl::audit_tail, options);
}

void add_reconcile(CLI::App& audit, Commands& commands) {
  ReconcileOptions& options = commands.reconcile;
  CLI::App& app = add(audit, "reconcile", "What the exchange shows and nobody here signed",
                      "audit reconcile ./audit --orders orders.json --transfers transfers.json");
  add_log(app, options.directory);
  app.add_option("--orders", options.orders,
                 "Answer of /v1/orders or /v1/orders/history; once for each page")
      ->allow_extra_args(false);
  app.add_option("--trades", options.trades, "Answer of /v1/mytrades")->allow_extra_args(false);
  app.add_option("--transfers", options.transfers, "Answer of /v2/transfers or /v1/transfers")
      ->allow_extra_args(false);
  CLI::Option* key = app.add_option("--key", options.key, "Only this key's signatures count");
  app.add_option("--api-key-id", options.api_key_id, "The same, by the exchange's id of a key")
      ->excludes(key);
  app.add_option("--since", options.since, "Judge what happened from then on");
  app.add_option("--until", options.until, "And before then");
  app.add_option("--skew", options.skew, "Between signature and exchange, at most")
      ->capture_default_str();
  app.add_option("--audit-key", options.audit_key,
                 "audit.pub.pem: verify the log first, and compare nothing if that fails");
  app.add_flag("--no-alarm", options.no_alarm, "Record no alarm in the signer's log");
  commands.choose(app, &ctl::audit_reconcile, options);
}

void add_report(CLI::App& audit, Commands& commands) {
  ReportOptions& options = commands.report;
  CLI::App& report = add(audit, "report", "A log as one page of HTML, to be filed or printed",
                         "audit report ./audit --key audit.pub.pem --since 2026-03-01 "
                         "--until 2026-04-01 -o march.html");
  add_log(report, options.directory);
  report.add_option("--key", options.key, "audit.pub.pem")->required();
  add_anchor(report, options.anchor);
  report.add_option("--since", options.since, "2026-03-01 or 2026-03-01T09:30:00Z");
  report.add_option("--until", options.until, "The same; up to, but without it");
  report.add_option("-o,--output", options.output, "The page")->required();
  commands.choose(report, &ctl::audit_report, options);
}

void add_retention(CLI::App& audit, Commands& commands) {
  RetentionOptions& options = commands.retention;
  CLI::App& retention = add(audit, "retention", "Let old records go, on officers' word",
                            "audit retention --before 2026-01-01 --statement r.statement");
  retention.add_option("--before", options.before, "What is older may go: 2026-01-01")->required();
  retention.add_option("--statement", options.statement,
                       "Of officers, signed ('-': standard input)");
  retention.add_flag("--dry-run", options.dry_run, "Only say what would go");
  commands.choose(retention, &ctl::audit_retention, options);
}

}  // namespace

void add_audit_verbs(CLI::App& app, Commands& commands) {
  CLI::App& audit = *app.add_subcommand("audit", "The audit log");
  audit.require_subcommand(0, 1);
  add_verify(audit, commands);
  add_proofs(audit, commands);
  add_query(audit, commands);
  add_tail(audit, commands);
  add_reconcile(audit, commands);
  add_report(audit, commands);
  add_retention(audit, commands);
}

}  // namespace hsm::ctl

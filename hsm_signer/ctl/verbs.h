// Every verb of hsm-signerctl as a function over its options: no command line, no exit status. An
// Error ends the program with exit_status() of its code; what a verb found out stands in
// Context::answer().
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hsm_signer/audit/segments.h"
#include "hsm_signer/ctl/context.h"

namespace hsm::ctl {

// request.cc: as a trading program asks.
struct SignOptions {
  std::string key;
  std::string request;   // File or "-": JSON; the signer puts the nonce in.
  std::string verbatim;  // File or "-": exact bytes with their nonce.
  std::uint32_t deadline_ms = 0;
};
Result<void> sign(Context& context, const SignOptions& options);
Result<void> explain(Context& context, const SignOptions& options);
Result<void> ping(Context& context);
Result<void> whoami(Context& context);
Result<void> keys(Context& context);

// policy.cc: offline; needs no daemon, and but for check no user of this machine.
struct PolicyOptions {
  std::string policy;      // File; empty: that of signer.toml.
  std::string old_policy;  // diff
  std::string questions;   // simulate, explain: file or "-".
  std::string corpus;      // snapshot, diff: file; empty: the one that is built in.
  std::string at;          // simulate, explain: when questions without a time are asked.
  std::string statement;   // reload: file or "-"; empty: the signer looks beside the policy.
  bool strict = false;     // lint: warnings are an error.
};
Result<void> policy_check(Context& context, const PolicyOptions& options);
Result<void> policy_lint(Context& context, const PolicyOptions& options);
Result<void> policy_simulate(Context& context, const PolicyOptions& options);
Result<void> policy_explain(Context& context, const PolicyOptions& options);
Result<void> policy_snapshot(Context& context, const PolicyOptions& options);
Result<void> policy_diff(Context& context, const PolicyOptions& options);
// policy_reload.cc: asks the signer.
Result<void> policy_reload(Context& context, const PolicyOptions& options);

// wrap.cc: offline; needs no daemon.
struct WrapOptions {
  std::string token_key;    // PEM of the token's wrap key.
  std::string secret_file;  // Empty: prompt.
  std::string output;       // Empty or "-": standard output.
};
Result<void> wrap(Context& context, const WrapOptions& options);

// key_import.cc
struct ImportOptions {
  std::string name;
  std::string api_key;
  std::string environment;
  std::string roles;
  std::string nonce;
  std::string scope = "account";
  std::string token;        // Empty: the only one.
  std::string secret_file;  // Empty: prompt.
  std::string blob;         // Instead of a secret.
  std::string statement;    // File: officers' statement of the import; empty: none.
};
Result<void> key_import(Context& context, const ImportOptions& options);

// key_admin.cc
struct KeyOptions {
  std::string name;  // Empty: all.
  std::uint32_t version = 0;
  bool yes = false;         // destroy: do not ask. check: mend may destroy objects too.
  bool mend = false;        // check: repair what is found.
  std::string statement{};  // activate, destroy: file with the officers' statement; empty: none.
};
Result<void> key_list(Context& context, const KeyOptions& options);
Result<void> key_show(Context& context, const KeyOptions& options);
Result<void> key_activate(Context& context, const KeyOptions& options);
Result<void> key_destroy(Context& context, const KeyOptions& options);
// key_check.cc
Result<void> key_check(Context& context, const KeyOptions& options);

// approvals.cc
struct ApprovalOptions {
  std::string what;  // Id; sign: or a file.
  std::string file;  // submit: text and signatures; "-" is standard input.
  std::string reason{};
  std::string key{};     // sign: the officer's key, as ssh-keygen -f takes it.
  std::string output{};  // sign of a file: where it goes; empty: back into the file.
  bool text = false;     // show: what is signed, and nothing else.
  bool yes = false;      // sign: do not ask.
};
Result<void> approvals_list(Context& context);
Result<void> approvals_show(Context& context, const ApprovalOptions& options);
Result<void> approvals_sign(Context& context, const ApprovalOptions& options);
Result<void> approvals_submit(Context& context, const ApprovalOptions& options);
Result<void> approvals_reject(Context& context, const ApprovalOptions& options);

// statement.cc: what a statement of that verb has, as docs/statements.md names it; empty: no line.
struct StatementOptions {
  std::string verb;  // show, submit: the file.
  std::string host, id, requester, key, api_key, environment, client;
  std::uint64_t serial = 0;
  std::string before, mark, name, roles, scope, sha256, token, uid, version;
  std::string within = "1h";
  std::string output;
};
Result<void> statement_make(Context& context, const StatementOptions& options);
Result<void> statement_show(Context& context, const StatementOptions& options);
Result<void> statement_submit(Context& context, const StatementOptions& options);

// init.cc, up.cc, status.cc: a development directory and its daemons.
struct InitOptions {
  std::string token = "dev";
  std::uint32_t workers = 2;
};
Result<void> init(Context& context, const InitOptions& options);
Result<void> up(Context& context);
Result<void> down(Context& context);
Result<void> status(Context& context);
Result<void> drain(Context& context);

// incident.cc: switches, leases, panic.
struct SwitchOptions {
  std::string key;  // One of these three.
  std::string client;
  bool all = false;
  std::string reason;
  std::string statement;  // File or "-": of officers; to lift.
  std::string length;     // lease: "10m".
  bool end = false;       // lease
};
Result<void> freeze(Context& context, const SwitchOptions& options);
Result<void> cancel_only(Context& context, const SwitchOptions& options);
Result<void> thaw(Context& context, const SwitchOptions& options);
Result<void> lease(Context& context, const SwitchOptions& options);
Result<void> switches(Context& context);
// What is set, for status.
struct SwitchView {
  std::vector<std::string> lines;  // "key:desk-a.trade: frozen since …"
  std::string json;                // As `switches --json` lists them.
};
Result<SwitchView> view_switches(client::Client& admin);
struct PanicOptions {
  std::string key;
  std::string account;  // Of a master key.
  std::string reason;
};
Result<void> panic(Context& context, const PanicOptions& options);

// audit.cc: offline, on a log or a copy of one.
struct VerifyOptions {
  bool allow_unsealed = false;
  std::string directory;
  std::string key;
  std::string anchor;  // Empty: none.
};
Result<void> audit_verify(Context& context, const VerifyOptions& options);
// audit_proof.cc: the same; check needs nothing but the proof and the key.
struct ProofOptions {
  std::string directory;
  std::string key;         // PEM; empty: signatures are not looked at. check: required.
  std::uint64_t seq = 0;   // prove
  std::string file;        // check: the proof.
  std::string checkpoint;  // consistency, check of growth: a kept checkpoint.
  std::string from;        // consistency: records; empty: those of the kept checkpoint.
  std::string to;          // consistency: records; empty: those of the log's last checkpoint.
  std::string output;      // prove, consistency: empty or "-" is standard output.
};
Result<void> audit_prove(Context& context, const ProofOptions& options);
Result<void> audit_check_proof(Context& context, const ProofOptions& options);
Result<void> audit_consistency(Context& context, const ProofOptions& options);
// audit_query.cc: the records that match, as they stand in the log with --json, else as a table.
struct QueryOptions {
  std::string directory;
  std::string key, client, api_key_id, verdict, code, rule, endpoint, reference;
  std::string kind;          // "sign"; empty: all.
  std::string since, until;  // As audit_tools::parse_span() takes them.
  std::string seq;           // "17..20"; empty: all.
  std::uint64_t limit = 0;   // 0: none.
};
Result<void> audit_query(Context& context, const QueryOptions& options);
// Of an audit verb's -o: usage where it would lie in the log's own directory, or be `key`.
Result<void> check_output(const std::string& output, const std::string& log,
                          const std::string& key);
// So that a hole at the beginning is not taken for all there was.
void note_what_was_let_go(Context& context, const audit::SegmentReader& log);
// audit_tail.cc: lines as they stand in the log.
struct TailOptions {
  std::string directory;
  std::uint64_t lines = 10;  // The last so many,
  std::string after;         // or all behind this sequence.
  bool follow = false;       // On standard output, until SIGINT, SIGTERM or nobody reads it.
  bool journald = false;     // To the journal instead of standard output.
};
Result<void> audit_tail(Context& context, const TailOptions& options);
// audit_reconcile.cc: the exchange's own history, as files, against the log.
struct ReconcileOptions {
  std::string directory;
  std::vector<std::string> orders, trades, transfers;  // Files; at least one.
  std::string key, api_key_id;                         // Whose signatures count; empty: all.
  std::string since, until;
  std::string skew = "30s";
  bool no_alarm = false;  // Tell the signer nothing of what is foreign.
  std::string audit_key;  // audit.pub.pem: the log is verified first; empty: it is believed.
};
Result<void> audit_reconcile(Context& context, const ReconcileOptions& options);
// audit_report.cc: one page of HTML; written also where the log does not verify.
struct ReportOptions {
  std::string directory;
  std::string key;
  std::string anchor;  // Empty: none.
  std::string since, until;
  std::string output;
};
Result<void> audit_report(Context& context, const ReportOptions& options);
// audit_retention.cc: asks the signer to let old records go.
struct RetentionOptions {
  std::string before;     // "2026-01-01" or an instant.
  std::string statement;  // File: officers' statement of it; empty: none.
  bool dry_run = false;
};
Result<void> audit_retention(Context& context, const RetentionOptions& options);

}  // namespace hsm::ctl

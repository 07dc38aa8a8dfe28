// Verbs for auditors.
#include "hsm_signer/ctl/commands.h"

namespace hsm::ctl {
namespace {

void add_log(CLI::App& app, std::string& directory) {
  app.add_option("DIR", directory, "The log's directory, or a copy of it")->required();
}

void add_verify(CLI::App& audit, Commands& commands) {
  CLI::App& verify = add(audit, "verify", "Check a log, or a copy of one, offline",
                         "audit verify /var/lib/hsm-signer/audit --key audit.pub.pem");
  verify.add_option("DIR", commands.verify.directory, "The log's directory")->required();
  verify.add_option("--key", commands.verify.key, "audit.pub.pem")->required();
  verify.add_flag("--allow-unsealed", commands.verify.allow_unsealed,
                  "Pass a log without any checkpoint, which nothing proves");
  commands.choose(verify, &ctl::audit_verify, commands.verify);
}

void add_proofs(CLI::App& audit, Commands& commands) {
  ProofOptions& options = commands.proof;
  CLI::App& prove = add(audit, "prove", "A file that proves one record to who has the public key",
                        "audit prove ./audit --seq 4711 --key audit.pub.pem -o 4711.tlog-proof");
  add_log(prove, options.directory);
  prove.add_option("--seq", options.seq, "Sequence of the record")->required();
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

}  // namespace

void add_audit_verbs(CLI::App& app, Commands& commands) {
  CLI::App& audit = *app.add_subcommand("audit", "The audit log");
  audit.require_subcommand(0, 1);
  add_verify(audit, commands);
  add_proofs(audit, commands);
}

}  // namespace hsm::ctl

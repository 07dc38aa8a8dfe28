// The command line as it is put together: for command_line.cc and the files of verbs beside it, not
// for anybody else (CLI11 is a heavy header).
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "hsm_signer/ctl/verbs.h"

namespace hsm::ctl {

// Everything that options are read into, and the verb that was chosen.
struct Commands {
  Globals globals;
  SignOptions sign;
  SignOptions explain;
  WrapOptions wrap;
  ImportOptions import;
  KeyOptions key;
  InitOptions init;
  PolicyOptions policy;
  VerifyOptions verify;
  ProofOptions proof;
  QueryOptions query;
  TailOptions tail;
  ReconcileOptions reconcile;
  ReportOptions report;
  RetentionOptions retention;
  SwitchOptions switches;
  PanicOptions panic;
  ApprovalOptions approval;
  StatementOptions statement;
  std::function<Result<void>(Context&)> chosen;

  template <class Options>
  void choose(CLI::App& app, Result<void> (*verb)(Context&, const Options&), Options& options) {
    app.callback([this, verb, &options] {
      chosen = [verb, &options](Context& context) { return verb(context, options); };
    });
  }
  void choose(CLI::App& app, Result<void> (*verb)(Context&)) {
    app.callback([this, verb] { chosen = verb; });
  }
};

// A verb with its one-line help and an example.
CLI::App& add(CLI::App& parent, const std::string& verb, const std::string& what,
              const std::string& example);

// officers_verbs.cc
void add_approval_verbs(CLI::App& app, Commands& commands);
void add_statement_verbs(CLI::App& app, Commands& commands);

// audit_verbs.cc
void add_audit_verbs(CLI::App& app, Commands& commands);

}  // namespace hsm::ctl

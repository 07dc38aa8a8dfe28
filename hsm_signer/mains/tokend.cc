// hsm-tokend: the token host of one PKCS#11 token. Supervisor when started by people, worker when
// the supervisor starts it.
#include <CLI/CLI.hpp>
#include <exception>
#include <string>
#include <string_view>

#include "hsm_signer/base/log.h"
#include "hsm_signer/token/config.h"
#include "hsm_signer/token/status.h"
#include "hsm_signer/token/supervisor.h"
#include "hsm_signer/token/worker.h"

namespace hsm::token {
namespace {

Result<void> run(const std::string& path, bool only_check) {
  TRY(const Config config, Config::load(path));
  set_log_name("hsm-tokend[" + config.token + "]");
  if (!only_check) return supervise(config);
  return check(config);
}

int supervisor_main(int argc, char** argv) {
  CLI::App app{"hsm-tokend: holds one PKCS#11 token and signs within its keys' ceilings."};
  app.footer("Example: hsm-tokend --config /etc/hsm-tokend/desk.toml, with\n\n" +
             std::string{config_example()} + "\nManual: hsm-tokend(8)");
  std::string path;
  bool only_check = false;
  app.add_option("--config", path, "Configuration file, <token>.toml")->required();
  app.add_flag("--check", only_check,
               "Read configuration, ceilings and PIN file, say what is wrong, and end");
  app.set_version_flag("--version", "hsm-tokend " HSM_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const Result<void> ended = run(path, only_check);
  if (ended) return 0;
  log(Level::error, name(ended.error().code), ended.error().sentence());
  return exit_status(ended.error().code);
}

}  // namespace
}  // namespace hsm::token

int main(int argc, char** argv) {
  using hsm::token::Role;
  const std::string_view first = argc == 2 ? argv[1] : "";
  try {
    if (first == hsm::token::kSigningWorker) hsm::token::run_worker(Role::signing);
    if (first == hsm::token::kAdminWorker) hsm::token::run_worker(Role::admin);
    hsm::set_log_name("hsm-tokend");
    return hsm::token::supervisor_main(argc, argv);
  } catch (const std::exception& error) {
    // A rim: only bugs and exhausted memory come here.
    hsm::log(hsm::Level::error, "internal", error.what());
    return hsm::exit_status(hsm::Code::internal);
  }
}

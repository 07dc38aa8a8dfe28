// hsm-bench: in one run, in turn, what a signature costs by every way there is.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>

#include "hsm_signer/base/log.h"
#include "tests/bench/module_signer.h"
#include "tests/bench/report.h"
#include "tests/bench/signer_directory.h"

namespace hsm::bench {
namespace {

constexpr const char* kFooter =
    R"(Every contender signs 300 bytes with a 48-byte key. Rounds alternate: each measures every cell once,
so that what slows the machine down slows all of them down. Ratios are taken within a round, the
table has medians over the rounds, least and most. Nothing is pinned to a CPU. The daemons of
hsm-signer are started anew for each round in a directory that is removed again; at 50,000
signatures a second their audit log grows by 35 MB a second.

Examples:
  hsm-bench                                       a table, in about three minutes
  hsm-bench --seconds 3 --rounds 9 --json         for scripts
  hsm-bench --only p11-kit --only hsm-signer      some contenders

Exit status: 0 measured, 1 something could not be measured or a MAC is wrong, 2 usage.
)";

struct Options {
  double seconds = 1;
  unsigned rounds = 5;
  std::vector<std::string> only;
  std::string dir = "/tmp";
  bool json = false;
};

volatile std::sig_atomic_t interrupted = 0;

// The daemons are to be stopped and the directories removed before this leaves.
void stop_in_order() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

class Bench {
 public:
  explicit Bench(const Options& options) : options_{options} {}

  Result<Report> run() {
    TRY_VOID(choose());
    report_.machine = look_at_machine(options_.dir);
    report_.seconds = options_.seconds;
    for (unsigned round = 1; round <= options_.rounds; ++round) {
      std::fprintf(stderr, "round %u of %u\n", round, options_.rounds);
      const Result<void> measured = one_round();
      for (const auto& contender : contenders_) contender->tear_down();
      TRY_VOID(measured);
    }
    report_.machine.load_after = load_average();
    return report_;
  }

 private:
  Result<void> choose() {
    TRY(const std::shared_ptr<BenchToken> token, BenchToken::make());
    const auto directories = std::make_shared<SignerDirectories>(options_.dir);
    contenders_.push_back(openssl_in_process());
    contenders_.push_back(softhsm_in_process(token));
    contenders_.push_back(softhsm_through_p11_kit(token));
    contenders_.push_back(two_hop_echo(token));
    contenders_.push_back(hsm_signer("os", directories));
    contenders_.push_back(hsm_signer("fsync", directories));
    std::erase_if(contenders_, [this](const auto& contender) { return !wanted(*contender); });
    if (contenders_.empty()) return fail(Code::usage, "--only names no contender");
    for (const auto& contender : contenders_) {
      for (const Load& load : contender->loads())
        report_.rows.push_back({.contender = contender->name(), .load = load, .rounds = {}});
    }
    return {};
  }

  bool wanted(const Contender& contender) const {
    const auto named = [&](const std::string& part) {
      return contender.name().find(part) != std::string::npos;
    };
    return options_.only.empty() || std::any_of(options_.only.begin(), options_.only.end(), named);
  }

  Result<void> one_round() {
    for (const auto& contender : contenders_) TRY_VOID(contender->set_up());
    auto row = report_.rows.begin();
    for (const auto& contender : contenders_) {
      for (const Load& load : contender->loads()) {
        if (interrupted != 0) return fail(Code::usage, "interrupted");
        TRY_VOID(one_cell(*contender, load, *row++));
      }
    }
    return {};
  }

  Result<void> one_cell(Contender& contender, const Load& load, Row& row) {
    ::sync();  // What the last one wrote is not to be this one's burden.
    const auto measured = std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::duration<double>{options_.seconds});
    const Result<Samples> samples =
        contender.run(load, {.warm_up = measured / 5, .measured = measured});
    if (samples) {
      row.rounds.push_back(figures_of(*samples));
      return {};
    }
    Error error = samples.error();
    error.detail = contender.name() + ", " + std::to_string(load.in_flight) + " in flight, " +
                   std::to_string(load.workers) + " signing: " + error.detail;
    return fail(std::move(error));
  }

  Options options_;
  std::vector<std::unique_ptr<Contender>> contenders_;
  Report report_;
};

int run(int argc, char** argv) {
  CLI::App app{"Measures what a signature costs by every way there is, in one run."};
  Options options;
  app.add_option("--seconds", options.seconds, "How long each cell is measured in each round")
      ->check(CLI::Range(0.01, 600.0))
      ->capture_default_str();
  app.add_option("--rounds", options.rounds, "How often every cell is measured")
      ->check(CLI::Range(1U, 1000U))
      ->capture_default_str();
  app.add_option("--only", options.only, "Contenders whose name has this part; may be repeated")
      ->type_name("TEXT");
  app.add_option("--dir", options.dir, "Where the daemons' directories go: the disk of fsync")
      ->check(CLI::ExistingDirectory)
      ->capture_default_str();
  app.add_flag("--json", options.json, "One JSON object instead of the table");
  app.footer(kFooter);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : exit_status(Code::usage);
  }
  stop_in_order();
  const Result<Report> report = Bench{options}.run();
  if (!report) {
    std::fprintf(stderr, "hsm-bench: %s\n", report.error().sentence().c_str());
    return report.error().code == Code::usage ? exit_status(Code::usage) : 1;
  }
  const std::string text = options.json ? as_json(*report) : as_table(*report);
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace
}  // namespace hsm::bench

int main(int argc, char** argv) {
  hsm::set_log_name("hsm-bench");
  try {
    return hsm::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "hsm-bench: %s\n", error.what());
    return hsm::exit_status(hsm::Code::internal);
  }
}

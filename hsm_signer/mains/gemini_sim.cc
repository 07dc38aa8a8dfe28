// gemini-sim: the simulated exchange as a program (docs/gemini-sim.md).
#include <CLI/CLI.hpp>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

#include "hsm_signer/base/log.h"
#include "hsm_signer/http/server.h"
#include "hsm_signer/sim/answers.h"
#include "hsm_signer/sim/control.h"
#include "hsm_signer/sim/exchange.h"
#include "hsm_signer/sim/journal.h"
#include "hsm_signer/sim/setup.h"

namespace {

using namespace hsm;

struct Options {
  std::string keys;
  std::string listen;
  std::string unix_path;
  std::string port_file;
  std::string journal;
  std::string control;
  std::int64_t skew_ms = 0;
  bool rate_limits = false;
  bool json = false;
};

// A day: more is another date, and no clock that is merely wrong.
constexpr std::int64_t kMostSkewMs = 86'400'000;

constexpr const char* kFooter =
    "Example:\n"
    "  printf '[[key]]\\nid = \"account-demo\"\\nsecret = \"1234abcd\"\\nroles = [\"trader\"]\\n' "
    "> keys.toml\n"
    "  gemini-sim --keys keys.toml --listen 127.0.0.1:8080 --journal seen.jsonl\n\n"
    "With --control control.sock, the next two orders get a 503:\n"
    "  curl --unix-socket control.sock http://sim/faults \\\n"
    "    -d '{\"fault\":\"error\",\"status\":503,\"count\":2,\"path\":\"/v1/order/new\"}'\n\n"
    "Exit status: 0 stopped by SIGTERM or SIGINT, 2 usage, 3 could not go on.\n";

// Only 127.0.0.1: the keys file holds secrets in the clear, and nothing here is encrypted.
Result<std::uint16_t> parse_listen(const std::string& text) {
  constexpr std::string_view kLoopback = "127.0.0.1:";
  if (!text.starts_with(kLoopback)) {
    return fail(
        Code::usage,
        "--listen must be 127.0.0.1:PORT: gemini-sim holds test secrets and is reached from this "
        "machine only");
  }
  std::uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + kLoopback.size(), end, port);
  if (error != std::errc{} || stop != end)
    return fail(Code::usage, "--listen must be 127.0.0.1:PORT with a port of 0 to 65535");
  return port;
}

// What was bound, for people or as one JSON line.
void say_ready(const Options& options, std::optional<std::uint16_t> port) {
  std::string line = "gemini-sim ready on";
  if (port) line += " http://127.0.0.1:" + std::to_string(*port);
  if (!options.unix_path.empty()) line += " unix:" + options.unix_path;
  if (options.json) line = sim::ready_body(port, options.unix_path);
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

// The journal's failure, once there is one: tests rely on it, so going on without would mislead
// them.
struct Recorder {
  std::optional<sim::Journal> journal;
  std::optional<Error> failed;
  Result<void> record(const sim::Entry& entry) {
    if (!journal) return {};
    Result<void> written = journal->append(entry);
    if (!written && !failed) failed = written.error();
    return written;
  }
};

Result<std::optional<std::uint16_t>> listen(const Options& options, http::Server& server) {
  std::optional<std::uint16_t> port;
  if (!options.listen.empty() || options.unix_path.empty()) {
    TRY(const std::uint16_t wanted,
        parse_listen(options.listen.empty() ? "127.0.0.1:0" : options.listen));
    TRY(port, server.listen_tcp(wanted));
  }
  if (!options.unix_path.empty()) TRY_VOID(server.listen_unix(options.unix_path, 0600));
  if (!options.control.empty()) TRY_VOID(server.listen_unix(options.control, 0600));
  if (!options.port_file.empty()) {
    if (!port) return fail(Code::usage, "--port-file needs --listen");
    TRY_VOID(write_file_atomic(options.port_file, as_bytes(std::to_string(*port) + "\n"), 0644));
  }
  return port;
}

Result<void> serve(const Options& options) {
  TRY_VOID(lock_down(LockMemory::no));
  if (!options.control.empty() && options.control == options.unix_path)
    return fail(Code::usage, "--control and --unix must be two sockets");
  TRY(sim::Setup setup, sim::load_setup(options.keys));
  const SystemClock system_clock;
  sim::MovedClock clock{system_clock, std::chrono::milliseconds{options.skew_ms}};
  sim::Exchange exchange{std::move(setup), clock,
                         options.rate_limits ? sim::Limits::on : sim::Limits::off};
  sim::Control control{exchange, clock};
  Recorder recorder;
  if (!options.journal.empty()) {
    TRY(recorder.journal, sim::Journal::open(options.journal));
  }
  http::Server* stop = nullptr;
  http::Server server{[&](const http::Request& request) {
                        if (!options.control.empty() && request.socket == options.control)
                          return control.handle(request);
                        sim::Exchange::Handled handled = exchange.handle(request);
                        if (!recorder.record(handled.entry)) stop->stop();
                        return std::move(handled.response);
                      },
                      http::Limits{}};
  stop = &server;
  TRY_VOID(server.stop_on_signals());
  TRY(const std::optional<std::uint16_t> port, listen(options, server));
  say_ready(options, port);
  server.run();
  if (recorder.failed) return fail(*recorder.failed);
  return {};
}

int run(int argc, char** argv) {
  CLI::App app{
      "A simulated Gemini exchange: checks keys, signatures, nonces and roles, keeps orders and "
      "money, and fails to order."};
  Options options;
  app.add_option("--keys", options.keys, "TOML file with the API keys that exist")
      ->required()
      ->type_name("FILE");
  app.add_option("--listen", options.listen,
                 "TCP address; port 0 takes a free one (default, unless --unix is given)")
      ->type_name("127.0.0.1:PORT");
  app.add_option("--unix", options.unix_path, "Unix socket to listen on")->type_name("PATH");
  app.add_option("--port-file", options.port_file, "Write the port here when ready")
      ->type_name("FILE");
  app.add_option("--journal", options.journal, "Append one JSON line per request")
      ->type_name("FILE");
  app.add_flag("--rate-limits", options.rate_limits,
               "Limit requests as the exchange does: 600 a minute for a key, 120 public ones");
  app.add_option("--control", options.control,
                 "Unix socket (mode 0600) that takes faults, fills and leaps of the clock")
      ->type_name("PATH");
  app.add_option("--skew-ms", options.skew_ms,
                 "How far the exchange's time of day is ahead of this machine's; negative: behind")
      ->type_name("MS")
      ->check(CLI::Range(-kMostSkewMs, kMostSkewMs));
  app.add_flag("--json", options.json, "Print the ready line as JSON");
  app.set_version_flag("--version", "gemini-sim " HSM_VERSION);
  app.footer(kFooter);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : exit_status(Code::usage);
  }
  const Result<void> done = serve(options);
  if (done) return 0;
  std::fprintf(stderr, "gemini-sim: %s\n", done.error().sentence().c_str());
  return exit_status(done.error().code);
}

}  // namespace

int main(int argc, char** argv) {
  set_log_name("gemini-sim");
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gemini-sim: %s\n", error.what());
    return exit_status(Code::internal);
  }
}

// Starts and stops the daemons of a development directory.
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <ostream>
#include <thread>

#include "hsm_signer/ctl/process.h"
#include "hsm_signer/ctl/verbs.h"
#include "hsm_signer/wire/admin.h"
#include "hsm_signer/wire/client.h"
#include "hsm_signer/wire/token.h"

namespace hsm::ctl {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kStartPatience{20'000};
constexpr milliseconds kStopPatience{20'000};  // The signer drains for up to 10 s.
// Long, since a worker that is still starting takes the connection when it is ready.
constexpr milliseconds kProbePatience{5'000};
constexpr milliseconds kPause{25};
// How long a daemon may say that it cannot: a wrong PIN or a missing token does not mend itself.
constexpr milliseconds kRefusedPatience{2'000};
constexpr std::size_t kLogLines = 8;

client::Options probe_options() {
  client::Options options;
  options.program = "hsm-signerctl/" HSM_VERSION;
  options.patience = kProbePatience;
  return options;
}

// The socket may be held by a daemon that no pid file knows of: then ours is about to end.
Result<void> served_by(const client::Client& client, pid_t pid) {
  TRY(const Peer peer, peer_of(client.native()));
  if (peer.pid == pid) return {};
  return fail(Code::internal, "another process serves this socket",
              "pid " + std::to_string(peer.pid));
}

Result<void> token_answers(const TokenConfig& token, pid_t pid) {
  TRY(client::Client host, client::Client::connect(token.socket, probe_options()));
  TRY_VOID(served_by(host, pid));
  TRY_VOID(host.call<wire::Info>(wire::InfoQuery{}));
  return {};
}

Result<void> signer_answers(const SignerConfig& config, pid_t pid) {
  auto signer = client::Client::connect(config.socket, probe_options());
  // A refusal is an answer too: the policy need not know who starts the signer.
  if (!signer && signer.error().code == Code::unauthorized) return {};
  if (!signer) return fail(signer.error());
  TRY_VOID(served_by(*signer, pid));
  TRY_VOID(signer->call<wire::Ping>(wire::Ping{}));
  return {};
}

// Every token has a worker that the signer talks to.
Result<void> tokens_serve(const SignerConfig& config) {
  TRY(client::Client admin, client::Client::connect(config.admin_socket, probe_options()));
  TRY(const wire::Status status, admin.call<wire::Status>(wire::StatusQuery{}));
  for (const wire::TokenStatus& token : status.tokens) {
    if (token.workers == 0)
      return fail(Code::token_unavailable, "no worker serves token",
                  "\"" + token.token + "\"" + (token.problem.empty() ? "" : ": " + token.problem));
  }
  return {};
}

// Only the sentence of a daemon comes without a literal of ours (wire::to_error).
bool said_by_daemon(const Error& error) { return error.what.empty(); }

// Asks again until the answer is good, the process has ended or time is up.
Result<void> wait_until(const Running* process, const std::function<Result<void>()>& ready) {
  const auto begin = std::chrono::steady_clock::now();
  auto deadline = begin + kStartPatience;
  for (;;) {
    const Result<void> now = ready();
    if (now) return {};
    if (said_by_daemon(now.error())) deadline = std::min(deadline, begin + kRefusedPatience);
    if (process != nullptr && has_ended(*process))
      return fail(Code::internal, "ended right after its start");
    if (std::chrono::steady_clock::now() >= deadline) return now;
    std::this_thread::sleep_for(kPause);
  }
}

class Starter {
 public:
  Starter(Context& context, const SignerConfig& config, std::vector<DaemonFiles> daemons)
      : context_{context}, config_{config}, daemons_{std::move(daemons)} {}

  Result<void> run() {
    Result<void> up = start_all();
    if (!up) stop_what_was_started();
    return up;
  }
  std::size_t started() const { return started_.size(); }

 private:
  Result<void> start_all() {
    const bool signer_runs = find_running(daemons_.back()).pidfd.valid();
    for (std::size_t i = 0; i < daemons_.size(); ++i) {
      // A signer that runs takes every worker there is: then only it can tell.
      const bool probe = i + 1 == daemons_.size() || !signer_runs;
      TRY_VOID(start_one(i, probe));
    }
    const Result<void> served = wait_until(nullptr, [this] { return tokens_serve(config_); });
    if (served) return {};
    for (const DaemonFiles& daemon : daemons_) show_log(daemon);
    return served;
  }

  Result<void> start_one(std::size_t index, bool probe) {
    const DaemonFiles& daemon = daemons_[index];
    if (const Running running = find_running(daemon); running.pidfd.valid()) {
      context_.note(daemon.name + " runs already (pid " + std::to_string(running.pid) + ")");
      return {};
    }
    TRY(Running process, start(daemon));
    started_.push_back({&daemon, std::move(process)});
    const Running& running = started_.back().second;
    context_.note(daemon.name + " starting (pid " + std::to_string(running.pid) + ")");
    if (!probe) return {};
    Result<void> ready = wait_until(&running, [&] {
      return index < config_.tokens.size() ? token_answers(config_.tokens[index], running.pid)
                                           : signer_answers(config_, running.pid);
    });
    if (ready) return {};
    show_log(daemon);
    ready.error()
        .detail.append(ready.error().detail.empty() ? "" : "; ")
        .append(daemon.name + " is not ready, its log is " + daemon.log_file);
    return ready;
  }

  void show_log(const DaemonFiles& daemon) {
    context_.err() << daemon.log_file << ":\n" << last_lines(daemon.log_file, kLogLines);
  }

  // What ran before stays.
  void stop_what_was_started() {
    for (auto entry = started_.rbegin(); entry != started_.rend(); ++entry) {
      if (const auto stopped = stop(*entry->first, entry->second, kStopPatience); !stopped)
        context_.err() << stopped.error().sentence() << "\n";
    }
  }

  Context& context_;
  const SignerConfig& config_;
  std::vector<DaemonFiles> daemons_;
  std::vector<std::pair<const DaemonFiles*, Running>> started_;
};

Result<SignerConfig> development_config(const Context& context) {
  TRY(SignerConfig config, context.config());
  if (config.mode == SignerConfig::Mode::development) return config;
  return fail(Code::usage, "up and down are for development directories",
              config.file + " says mode = \"production\"; use systemctl");
}

std::string daemons_json(const std::vector<DaemonFiles>& daemons) {
  std::vector<std::string> items;
  for (const DaemonFiles& daemon : daemons) {
    const Running running = find_running(daemon);
    Json item;
    item.text("daemon", daemon.name).boolean("running", running.pidfd.valid());
    if (running.pidfd.valid()) item.number("pid", static_cast<std::uint64_t>(running.pid));
    items.push_back(item.done());
  }
  return json_array(items);
}

}  // namespace

Result<void> up(Context& context) {
  TRY(const std::string directory, context.directory("up"));
  TRY(const SignerConfig config, development_config(context));
  TRY(const OwnedFd lock, lock_directory(directory));
  const std::vector<DaemonFiles> daemons = daemons_of(directory, config);
  for (const char* folder : {"/run", "/log"}) TRY_VOID(make_directory(directory + folder, 0700));
  Starter starter{context, config, daemons};
  TRY_VOID(starter.run());
  Json json;
  json.raw("daemons", daemons_json(daemons)).text("socket", config.socket);
  context.answer(json, starter.started() == 0 ? "everything runs already\n"
                                              : "ready: " + config.socket + "\nall run under uid " +
                                                    std::to_string(::geteuid()) +
                                                    ": no separation, development only\n");
  return {};
}

Result<void> down(Context& context) {
  TRY(const std::string directory, context.directory("down"));
  TRY(const SignerConfig config, development_config(context));
  TRY(const OwnedFd lock, lock_directory(directory));
  const std::vector<DaemonFiles> daemons = daemons_of(directory, config);
  std::string text;
  std::vector<std::string> stopped;
  for (auto daemon = daemons.rbegin(); daemon != daemons.rend(); ++daemon) {
    const Running running = find_running(*daemon);
    if (!running.pidfd.valid()) continue;
    TRY_VOID(stop(*daemon, running, kStopPatience));
    text += "stopped " + daemon->name + " (pid " + std::to_string(running.pid) + ")\n";
    stopped.push_back(Json{}.text("daemon", daemon->name).done());
  }
  Json json;
  json.raw("stopped", json_array(stopped));
  context.answer(json, text.empty() ? "nothing runs\n" : text);
  return {};
}

}  // namespace hsm::ctl

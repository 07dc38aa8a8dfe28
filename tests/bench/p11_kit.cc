// SoftHSM behind `p11-kit server`, the remoting that Debian has: what else keeps the key out of the
// trading program's process.
#include <stdlib.h>
#include <unistd.h>

#include <optional>
#include <thread>

#include "tests/bench/children.h"
#include "tests/bench/module_signer.h"

namespace hsm::bench {
namespace {

using namespace std::chrono_literals;
constexpr auto kStartPatience = 10s;

Result<const char*> client_module() {
  if (::access(HSM_P11_KIT_CLIENT, R_OK) == 0) return HSM_P11_KIT_CLIENT;
  return fail(Code::token_unavailable, "p11-kit-client.so is missing",
              "apt-get install p11-kit p11-kit-modules");
}

Result<Samples> in_threads(const Timing& timing, const std::vector<ModuleSigner>& signers) {
  const auto measure = [&timing](const ModuleSigner& signer) {
    return one_by_one(timing, [&](ByteView text) { return signer.sign(text); });
  };
  if (signers.size() == 1) return measure(signers[0]);
  std::vector<Result<Samples>> seen(signers.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < signers.size(); ++i)
    threads.emplace_back([&, i] { seen[i] = measure(signers[i]); });
  for (std::thread& thread : threads) thread.join();
  Samples all;
  for (const Result<Samples>& samples : seen) {
    if (!samples) return fail(samples.error());
    all.join(*samples);
  }
  return all;
}

class P11Kit final : public Contender {
 public:
  explicit P11Kit(std::shared_ptr<BenchToken> token) : token_{std::move(token)} {}
  std::string name() const override { return kP11Kit; }

  // A process has one connection, which carries one call at a time, and a server process of its own
  // behind it. So more in flight takes threads that share the connection, or more processes.
  std::vector<Load> loads() const override {
    std::vector<Load> loads;
    for (const unsigned threads : {1U, 2U, 4U, 8U})
      loads.push_back({.in_flight = threads, .workers = 1});
    for (const unsigned processes : {2U, 4U, 8U})
      loads.push_back({.in_flight = processes, .workers = processes});
    return loads;
  }

  Result<void> set_up() override {
    TRY_VOID(client_module());
    // In the foreground: the daemon mode of 0.24 answers CKR_DEVICE_ERROR now and then.
    TRY(Program program,
        Program::start({"p11-kit", "server", "-f", "--provider", test::kSoftHsmModule, "--name",
                        socket(), token_->uri()},
                       {{"SOFTHSM2_CONF", token_->conf()}}, token_->dir() + "/p11-kit.log"));
    server_.emplace(std::move(program));
    for (const Time until = now() + kStartPatience; ::access(socket().c_str(), F_OK) != 0;) {
      if (!server_->runs() || now() > until) return fail(not_there());
      std::this_thread::sleep_for(5ms);
    }
    return {};
  }

  void tear_down() override {
    server_.reset();
    ::unlink(socket().c_str());
  }

  Result<Samples> run(const Load& load, const Timing& timing) override {
    TRY(const char* const module, client_module());
    return in_children(load.workers, timing, [&]() -> Result<Measure> {
      ::setenv("P11_KIT_SERVER_ADDRESS", ("unix:path=" + socket()).c_str(), 1);
      std::vector<ModuleSigner> signers;
      TRY(ModuleSigner first, ModuleSigner::open(module, *token_));
      signers.push_back(first);
      while (signers.size() < load.in_flight / load.workers) {
        TRY(ModuleSigner another, first.for_another_thread());
        signers.push_back(another);
      }
      return Measure{[&timing, signers] { return in_threads(timing, signers); }};
    });
  }

 private:
  std::string socket() const { return token_->dir() + "/p11.sock"; }
  Error not_there() const {
    std::string said = "is p11-kit installed? apt-get install p11-kit p11-kit-modules";
    if (const auto log = read_file(token_->dir() + "/p11-kit.log", 4096); log && !log->empty())
      said = as_text(*log);
    return {.code = Code::token_unavailable,
            .what = "`p11-kit server` does not start",
            .detail = std::move(said)};
  }

  std::shared_ptr<BenchToken> token_;
  std::optional<Program> server_;
};

}  // namespace

std::unique_ptr<Contender> softhsm_through_p11_kit(std::shared_ptr<BenchToken> token) {
  return std::make_unique<P11Kit>(std::move(token));
}

}  // namespace hsm::bench

// The two ends of the scale: OpenSSL, which holds the key in plain memory, and SoftHSM called
// directly.
#include <stdlib.h>

#include "tests/bench/children.h"
#include "tests/bench/module_signer.h"

namespace hsm::bench {
namespace {

// One request at a time for each process; more in flight would only wait in line.
std::vector<Load> one_each() {
  return {{.in_flight = 1, .workers = 1}, {.in_flight = 2, .workers = 2}};
}

class OpenSsl final : public Contender {
 public:
  std::string name() const override { return "OpenSSL in process"; }
  std::vector<Load> loads() const override { return one_each(); }
  Result<Samples> run(const Load& load, const Timing& timing) override {
    return in_children(load.workers, timing, [&timing]() -> Result<Measure> {
      return Measure{[&timing] {
        return one_by_one(timing, [](ByteView text) -> Result<Mac> {
          return hmac_sha384(as_bytes(kBenchKey), text);
        });
      }};
    });
  }
};

class SoftHsm final : public Contender {
 public:
  explicit SoftHsm(std::shared_ptr<BenchToken> token) : token_{std::move(token)} {}
  std::string name() const override { return "SoftHSM in process"; }
  std::vector<Load> loads() const override { return one_each(); }
  // Two processes, not threads: SoftHSM's lock makes two threads slower than one.
  Result<Samples> run(const Load& load, const Timing& timing) override {
    return in_children(load.workers, timing, [&]() -> Result<Measure> {
      ::setenv("SOFTHSM2_CONF", token_->conf().c_str(), 1);
      TRY(const ModuleSigner signer, ModuleSigner::open(test::kSoftHsmModule, *token_));
      return Measure{[&timing, signer] {
        return one_by_one(timing, [&](ByteView text) { return signer.sign(text); });
      }};
    });
  }

 private:
  std::shared_ptr<BenchToken> token_;
};

}  // namespace

std::unique_ptr<Contender> openssl_in_process() { return std::make_unique<OpenSsl>(); }
std::unique_ptr<Contender> softhsm_in_process(std::shared_ptr<BenchToken> token) {
  return std::make_unique<SoftHsm>(std::move(token));
}

}  // namespace hsm::bench

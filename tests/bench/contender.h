// What is compared: one way to get an HMAC-SHA384 over a message of 300 bytes.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "hsm_signer/base/hash.h"
#include "tests/bench/statistics.h"

namespace hsm::bench {

inline constexpr std::size_t kMessageSize = 300;
// 48 bytes: SoftHSM refuses to sign with less, and longer secrets are hashed to this length. No
// secret of anybody's.
inline constexpr std::string_view kBenchKey = "a-key-for-measuring-that-opens-nothing-at-all.48";
static_assert(kBenchKey.size() == 48);

// How many requests are on their way at once, and how many processes sign.
struct Load {
  unsigned in_flight = 1;
  unsigned workers = 1;
  bool operator==(const Load&) const = default;
};

// How long one measurement lasts. What happens while it warms up is checked and not counted.
struct Timing {
  std::chrono::nanoseconds warm_up{};
  std::chrono::nanoseconds measured{};
};

class Contender {
 public:
  virtual ~Contender() = default;
  virtual std::string name() const = 0;
  // Every load that it can be put under.
  virtual std::vector<Load> loads() const = 0;
  // Before each round: starts what has to run meanwhile. tear_down() ends it.
  virtual Result<void> set_up() { return {}; }
  virtual void tear_down() {}
  // Measures in forked children, so that this process never holds a PKCS#11 module. Wrong MACs,
  // refusals and silence are errors.
  virtual Result<Samples> run(const Load& load, const Timing& timing) = 0;
};

// Whether `mac` is what OpenSSL makes of the message with kBenchKey: a benchmark of wrong results
// is none.
Result<void> check_mac(ByteView message, ByteView mac);
// The same 300 bytes for everybody who may choose.
ByteView message();

// The clock of every measurement.
using Time = std::chrono::steady_clock::time_point;
inline Time now() { return std::chrono::steady_clock::now(); }

// Turns the stream of answers of one client into samples: when to count, when to stop.
class Meter {
 public:
  explicit Meter(const Timing& timing)
      : begins_{now() + timing.warm_up},
        ends_{begins_ + timing.measured},
        gives_up_{ends_ + kPatience} {}

  // An answer at `at` to what was asked at `asked`.
  void answered(Time asked, Time at);
  bool warming_up(Time at) const { return at < begins_; }
  // The time is up and there is something to show for it.
  bool over(Time at) const;
  Result<Samples> samples() const;

 private:
  // So that a percentile means something on a machine that is busy elsewhere.
  static constexpr std::size_t kFewest = 100;
  static constexpr std::chrono::seconds kPatience{10};

  Time begins_;
  Time ends_;
  Time gives_up_;
  Time first_{};
  Time last_{};
  std::vector<std::uint32_t> latencies_ns_;
};

// One after the other in this process: sign() asks and waits. Checks the first MACs and the last.
template <class Sign>
Result<Samples> one_by_one(const Timing& timing, Sign sign) {
  constexpr int kChecked = 32;
  for (int i = 0; i < kChecked; ++i) {
    TRY(const Mac mac, sign(message()));
    TRY_VOID(check_mac(message(), mac));
  }
  Meter meter{timing};
  Mac last{};
  for (Time asked = now(); !meter.over(asked);) {
    TRY(last, sign(message()));
    const Time answered = now();
    meter.answered(asked, answered);
    asked = answered;
  }
  TRY_VOID(check_mac(message(), last));
  return meter.samples();
}

// Of whoever has our shape: 1, 16 and 64 in flight with 1 and with 2 workers.
std::vector<Load> shape_loads();

class SignerDirectories;
class BenchToken;

std::unique_ptr<Contender> openssl_in_process();
std::unique_ptr<Contender> softhsm_in_process(std::shared_ptr<BenchToken> token);
std::unique_ptr<Contender> softhsm_through_p11_kit(std::shared_ptr<BenchToken> token);
std::unique_ptr<Contender> two_hop_echo(std::shared_ptr<BenchToken> token);
// `durability`: "os" or "fsync".
std::unique_ptr<Contender> hsm_signer(std::string durability,
                                      std::shared_ptr<SignerDirectories> directories);

// As the report looks them up.
inline constexpr const char* kP11Kit = "SoftHSM through p11-kit";
inline constexpr const char* kFloor = "two-hop echo, SoftHSM behind";
inline constexpr const char* kSignerOs = "hsm-signer os";

}  // namespace hsm::bench

// hsm-bench-decision: what it costs to read and judge a payload, beside one OpenSSL HMAC-SHA384 of
// the same bytes. Both are measured in turn in one run, so that what slows the machine down slows
// down both.
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <functional>

#include "hsm_signer/policy/policy.h"
#include "tests/bench/statistics.h"

namespace hsm::bench {
namespace {

constexpr const char* kFooter =
    R"(A decision is: strict parse of a request of 400 bytes, identity, every rule that could allow it with
its limits and windows, the windows charged. 200 rules with limits, of which none but the last of
the caller's own allows: "one client" has all 200, "20 clients" 10 each, and so on.

Example:
  hsm-bench-decision --rounds 9

Exit status: 0 measured, 1 a decision was wrong, 2 usage.
)";

constexpr std::size_t kPayloadBytes = 400;
constexpr unsigned kRules = 200;
constexpr uid_t kFirstUid = 10'000;

std::string rule(unsigned client, unsigned number, std::string_view symbol) {
  return "[[rule]]\nname = \"client " + std::to_string(client) + " rule " + std::to_string(number) +
         "\"\nclient = \"c" + std::to_string(client) + R"("
key = "env:production"
allow = ["class:read", "class:cancel", "/v1/order/new"]
symbols = [")" +
         std::string{symbol} + R"("]
order_types = ["exchange limit"]
options = ["maker-or-cancel"]
max_amount = { )" +
         std::string{symbol} + R"( = "1000000" }
min_price = { )" +
         std::string{symbol} + R"( = "1" }
max_notional = { usd = "100000000" }
reference = { max_age = "1h" }
hours = "Mon-Sun 00:00-24:00 America/New_York"
window = [ { per = "1h", max_notional = { usd = "900000000000000" }, max_amount = { )" +
         std::string{symbol} + R"( = "900000000000000" } }, { per = "1m", max_count = 1000000000 } ]
)";
}

// `clients` share 200 rules; the last rule of each is for btcusd.
policy::Rules rules_of(unsigned clients) {
  const unsigned each = kRules / std::min(clients, kRules);
  std::string text = "version = 1\n";
  for (unsigned client = 0; client < clients; ++client)
    text += "[[client]]\nname = \"c" + std::to_string(client) + "\"\nuid = \"" +
            std::to_string(kFirstUid + client) + "\"\n";
  for (unsigned client = 0; client < std::min(clients, kRules); ++client)
    for (unsigned number = 1; number <= each; ++number)
      text +=
          rule(client, number, number == each ? "btcusd" : "alt" + std::to_string(number) + "usd");
  auto rules = policy::Rules::parse(text, "policy.toml", policy::system_resolver());
  if (!rules) {
    std::fprintf(stderr, "%s\n", rules.error().sentence().c_str());
    std::exit(1);
  }
  return *std::move(rules);
}

std::string payload() {
  std::string text =
      R"({"request":"/v1/order/new","symbol":"btcusd","amount":"0.12345678","price":"30123.45","side":"buy","type":"exchange limit","options":["maker-or-cancel"],"account":"primary","client_order_id":")";
  text.append(kPayloadBytes - text.size() - 2, 'x').append("\"}");
  return text;
}

// The latency of each call, in turn with the other's.
struct Pair {
  std::vector<std::uint32_t> hmac_ns, decision_ns;
};

std::uint32_t timed(const std::function<void()>& work) {
  const auto before = std::chrono::steady_clock::now();
  work();
  const auto after = std::chrono::steady_clock::now();
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(after - before).count());
}

class Bench {
 public:
  explicit Bench(unsigned clients) : rules_{rules_of(clients)} {}

  Pair round(unsigned calls) {
    Pair pair;
    pair.hmac_ns.reserve(calls);
    pair.decision_ns.reserve(calls);
    for (unsigned i = 0; i < calls; ++i) {
      pair.hmac_ns.push_back(timed([this] { hmac(); }));
      pair.decision_ns.push_back(timed([this] { decide(); }));
    }
    return pair;
  }

 private:
  void hmac() {
    unsigned size = 0;
    if (HMAC(EVP_sha384(), key_.data(), static_cast<int>(key_.size()),
             reinterpret_cast<const unsigned char*>(text_.data()), text_.size(), mac_.data(),
             &size) == nullptr)
      std::exit(1);
  }
  void decide() {
    auto parsed = venue::Payload::parse_request(text_);
    if (!parsed) std::exit(1);
    const policy::Scene scene{.rules = rules_,
                              .usage = &usage_,
                              .references = &references_,
                              .now = clock_.wall(),
                              .counted = clock_.wall(),
                              .steady = clock_.steady()};
    const policy::Decision decision =
        policy::decide(scene, {.uid = kFirstUid, .gid = 0}, &facts_, *parsed);
    if (!decision.allowed()) {
      std::fprintf(stderr, "refused: %s\n", decision.sentence.c_str());
      std::exit(1);
    }
    policy::take(scene, decision, parsed->endpoint().cls);
  }

  const policy::Rules rules_;
  const SystemClock clock_;
  policy::Usage usage_;
  policy::References references_;
  const policy::KeyFacts facts_{.name = "desk-a.trade",
                                .environment = Environment::production,
                                .scope = Scope::account,
                                .roles = venue::kTrader,
                                .state = VersionState::active};
  const std::string text_ = payload();
  const std::string key_ = std::string(48, 'k');
  std::array<unsigned char, EVP_MAX_MD_SIZE> mac_{};
};

int run(unsigned rounds, unsigned calls) {
  std::printf("decision : HMAC of %zu bytes, median (least…most) of %u rounds of %u\n\n",
              payload().size(), rounds, calls);
  std::printf("%-12s %-22s %-22s %s\n", "clients", "p50", "p99", "decision p50, HMAC p50 [us]");
  for (const unsigned clients : {1U, 20U, 200U, 1000U}) {
    Bench bench{clients};
    bench.round(calls / 10);  // Warm.
    std::vector<double> p50, p99, ours, theirs;
    for (unsigned round = 0; round < rounds; ++round) {
      Pair pair = bench.round(calls);
      ours.push_back(percentile(pair.decision_ns, 50) / 1e3);
      theirs.push_back(percentile(pair.hmac_ns, 50) / 1e3);
      p50.push_back(ours.back() / theirs.back());
      p99.push_back(percentile(pair.decision_ns, 99) / percentile(pair.hmac_ns, 50));
    }
    const Spread middle = spread_of(p50), tail = spread_of(p99);
    std::printf("%-12u %5.2f (%.2f…%.2f)    %5.2f (%.2f…%.2f)    %.2f, %.2f\n", clients,
                middle.median, middle.least, middle.most, tail.median, tail.least, tail.most,
                spread_of(ours).median, spread_of(theirs).median);
  }
  return 0;
}

}  // namespace
}  // namespace hsm::bench

int main(int argc, char** argv) {
  CLI::App app{"hsm-bench-decision: a decision of the policy beside one HMAC."};
  app.footer(hsm::bench::kFooter);
  unsigned rounds = 5;
  unsigned calls = 20'000;
  app.add_option("--rounds", rounds, "Rounds")
      ->check(CLI::Range(1U, 1'000U))
      ->capture_default_str();
  app.add_option("--calls", calls, "Calls of each kind in a round")
      ->check(CLI::Range(10U, 10'000'000U))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return hsm::bench::run(rounds, calls);
}

// hsm-bench-audit: what a record costs beside one OpenSSL HMAC-SHA384 of the payload, what
// durability costs beside the disk's own fdatasync, and how fast a log is verified beside a bare
// SHA-256 of its lines. Each pair is measured in turn in one run.
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <sstream>

#include "hsm_signer/audit/log.h"
#include "hsm_signer/audit/segments.h"
#include "hsm_signer/audit/verify.h"
#include "tests/bench/statistics.h"
#include "tests/unit/audit/sample.h"

namespace hsm::bench {
namespace {

constexpr const char* kFooter =
    R"(A record is that of an order: 700 bytes in the log. "os" is what the signer's thread does for
it: make the record, write its line, hash it into the tree, one write for all that are in flight.

Example:
  hsm-bench-audit --dir /var/tmp --rounds 9

Exit status: 0 measured, 1 something went wrong, 2 usage.
)";

constexpr std::size_t kPayloadBytes = 400;
constexpr std::uint64_t kFirstNonce = 1'763'925'302'123;

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "hsm-bench-audit: %s\n", why.c_str());
  std::exit(1);
}
template <class T>
T must(Result<T> result) {
  if (!result) stop(result.error().sentence());
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

double seconds_of(const std::function<void()>& work) {
  const auto before = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
}

class Hmac {
 public:
  void operator()() {
    unsigned size = 0;
    if (HMAC(EVP_sha384(), key_.data(), static_cast<int>(key_.size()),
             reinterpret_cast<const unsigned char*>(text_.data()), text_.size(), mac_.data(),
             &size) == nullptr)
      stop("HMAC");
  }

 private:
  const std::string key_ = std::string(48, 'k');
  const std::string text_ = std::string(kPayloadBytes, 'p');
  std::array<unsigned char, EVP_MAX_MD_SIZE> mac_{};
};

// A log that is written as the signer does it.
class Written {
 public:
  explicit Written(std::string directory) : directory_{std::move(directory)} {
    std::filesystem::remove_all(directory_);
    log_ = must(audit::Log::open(directory_));
  }
  ~Written() { std::filesystem::remove_all(directory_); }

  void turn(unsigned in_flight) {
    for (unsigned i = 0; i < in_flight; ++i) {
      ++count_;
      must(log_->append(audit::allow_record(kFirstNonce + count_, count_)));
    }
    must(log_->flush());
  }
  audit::Log& log() { return *log_; }
  const std::string& directory() const { return directory_; }

 private:
  const std::string directory_;
  std::unique_ptr<audit::Log> log_;
  std::uint64_t count_ = 0;
};

void print(const char* what, const std::vector<double>& ratios, const std::string& beside) {
  const Spread spread = spread_of(ratios);
  std::printf("%-52s %5.2f (%.2f…%.2f)   %s\n", what, spread.median, spread.least, spread.most,
              beside.c_str());
}

void cost_of_a_record(const std::string& directory, unsigned rounds, unsigned calls,
                      unsigned in_flight) {
  Written written{directory + "/os"};
  Hmac hmac;
  std::vector<double> ratios, ours, theirs;
  for (unsigned round = 0; round <= rounds; ++round) {
    const double record = seconds_of([&] {
                            for (unsigned i = 0; i < calls / in_flight; ++i)
                              written.turn(in_flight);
                          }) /
                          (calls / in_flight * in_flight);
    const double mac = seconds_of([&] {
                         for (unsigned i = 0; i < calls; ++i) hmac();
                       }) /
                       calls;
    if (round == 0) continue;  // Warm.
    ratios.push_back(record / mac);
    ours.push_back(record * 1e6);
    theirs.push_back(mac * 1e6);
  }
  char beside[100];
  std::snprintf(beside, sizeof beside, "%.2f us, HMAC %.2f us", spread_of(ours).median,
                spread_of(theirs).median);
  print(("os record : HMAC, " + std::to_string(in_flight) + " in flight").c_str(), ratios, beside);
}

void cost_of_durability(const std::string& directory, unsigned rounds, unsigned in_flight) {
  constexpr unsigned kTurns = 50;
  Written os{directory + "/os"}, fsync{directory + "/fsync"};
  const OwnedFd bare{::open((directory + "/bare").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600)};
  const std::string lines(700 * in_flight, 'x');
  std::vector<double> ratios, syncs, bares;
  for (unsigned round = 0; round <= rounds; ++round) {
    const double without = seconds_of([&] {
      for (unsigned i = 0; i < kTurns; ++i) os.turn(in_flight);
    });
    const double with = seconds_of([&] {
      for (unsigned i = 0; i < kTurns; ++i) {
        fsync.turn(in_flight);
        must(fsync.log().sync());
      }
    });
    const double disk = seconds_of([&] {
      for (unsigned i = 0; i < kTurns; ++i) {
        if (::write(bare.get(), lines.data(), lines.size()) < 0 || ::fdatasync(bare.get()) != 0)
          stop("fdatasync");
      }
    });
    if (round == 0) continue;
    ratios.push_back((with - without) / disk);
    syncs.push_back(with / kTurns * 1e6);
    bares.push_back(disk / kTurns * 1e6);
  }
  ::unlink((directory + "/bare").c_str());
  char beside[100];
  std::snprintf(beside, sizeof beside, "%.0f us for %u records, bare write and fdatasync %.0f us",
                spread_of(syncs).median, in_flight, spread_of(bares).median);
  print(("fsync adds : bare fdatasync, " + std::to_string(in_flight) + " in flight").c_str(),
        ratios, beside);
}

// With usage records and a checkpoint each `every` records, as a signer of so many a second writes.
void speed_of_verifying(const std::string& directory, unsigned rounds, unsigned records,
                        unsigned every) {
  const audit::TestKey key;
  Written written{directory + "/verified"};
  for (unsigned done = 0; done < records; done += every) {
    written.turn(every);
    must(written.log().append(audit::usage_record(key, done + every)));
    must(written.log().flush());
    must(written.log().sync());
    must(written.log().add_checkpoint(key.note(written.log().size(), written.log().root())));
  }
  const std::string pem = key.public_pem();
  std::vector<std::string> lines;
  for (const std::string& name : must(audit::list_log(written.directory())).segments) {
    std::istringstream text{audit::slurp(written.directory() + "/" + name)};
    for (std::string line; std::getline(text, line);) lines.push_back(std::move(line));
  }
  std::vector<double> ratios, speeds;
  for (unsigned round = 0; round <= rounds; ++round) {
    const double verified = seconds_of([&] {
      const auto said = must(audit::verify_directory(written.directory(), pem));
      if (!said.ok() || said.allowed < records) stop(said.findings.front().sentence);
    });
    const double hashed = seconds_of([&] {
      Byte all = 0;
      for (const std::string& line : lines)
        all = static_cast<Byte>(all ^ sha256(as_bytes(line))[0]);
      if (all == 1) std::fputs("", stderr);  // Used: not to be left out by the compiler.
    });
    if (round == 0) continue;
    ratios.push_back(hashed / verified);
    speeds.push_back(static_cast<double>(lines.size()) / verified);
  }
  char beside[100];
  std::snprintf(beside, sizeof beside, "%.0f records a second", spread_of(speeds).median);
  print(("verify : bare SHA-256, sealed each " + std::to_string(every) + " records").c_str(),
        ratios, beside);
}

}  // namespace
}  // namespace hsm::bench

int main(int argc, char** argv) {
  using namespace hsm::bench;
  CLI::App app{"hsm-bench-audit: what the audit log costs."};
  app.footer(kFooter);
  unsigned rounds = 5;
  unsigned calls = 20'000;
  std::string directory = "/tmp";
  app.add_option("--rounds", rounds, "Rounds")
      ->check(CLI::Range(1U, 1'000U))
      ->capture_default_str();
  app.add_option("--calls", calls, "Records in a round")
      ->check(CLI::Range(100U, 1'000'000U))
      ->capture_default_str();
  app.add_option("--dir", directory, "Where the logs go: the disk of fsync")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  directory += "/hsm-bench-audit-" + std::to_string(::getpid());
  std::filesystem::create_directory(directory);
  for (const unsigned in_flight : {1U, 16U, 64U})
    cost_of_a_record(directory, rounds, calls, in_flight);
  for (const unsigned in_flight : {1U, 64U}) cost_of_durability(directory, rounds, in_flight);
  for (const unsigned every : {1'000U, 100U})
    speed_of_verifying(directory, rounds, calls / 1'000 * 1'000 + 1'000, every);
  std::filesystem::remove_all(directory);
  return 0;
}

// Real daemons for the benchmark: a development directory per number of workers, made and started
// by hsm-signerctl as anybody would.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hsm_signer/base/result.h"

namespace hsm::bench {

// Stops the daemons and removes everything when it dies.
class SignerDirectory {
 public:
  // Below `parent`. The keys keys_of("os") and keys_of("fsync") hold kBenchKey.
  static Result<std::unique_ptr<SignerDirectory>> make(const std::string& parent, unsigned workers);
  SignerDirectory(const SignerDirectory&) = delete;  // A copy would remove it under its twin.
  SignerDirectory& operator=(const SignerDirectory&) = delete;
  ~SignerDirectory();

  // A key with frames in a worker stays with that worker, so one key alone keeps one worker busy.
  static std::vector<std::string> keys_of(const std::string& durability);
  std::string socket() const { return dir() + "/run/signer.sock"; }

 private:
  explicit SignerDirectory(std::string parent) : parent_{std::move(parent)} {}
  std::string dir() const { return parent_ + "/d"; }
  Result<void> fill(unsigned workers);
  Result<void> control(std::vector<std::string> verb, const std::string& input = {}) const;

  std::string parent_;
};

// Each is made when first asked for and lives until clear().
class SignerDirectories {
 public:
  explicit SignerDirectories(std::string parent) : parent_{std::move(parent)} {}
  Result<SignerDirectory*> with_workers(unsigned workers);
  void clear() { made_.clear(); }

 private:
  std::string parent_;
  std::map<unsigned, std::unique_ptr<SignerDirectory>> made_;
};

}  // namespace hsm::bench

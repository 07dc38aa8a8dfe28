#include "tests/bench/signer_directory.h"

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>

#include "hsm_signer/base/os.h"
#include "tests/bench/children.h"

namespace hsm::bench {
namespace {

constexpr int kKeysEach = 4;

// Every key on its own, since the rules differ in nothing but durability.
std::string policy() {
  std::string text =
      "version = 1\n[[client]]\nname = \"bench\"\nuid = \"" + std::to_string(::geteuid()) + "\"\n";
  for (const char* durability : {"os", "fsync"}) {
    for (const std::string& key : SignerDirectory::keys_of(durability)) {
      text += "[[rule]]\nname = \"" + key + "\"\nclient = \"bench\"\nkey = \"" + key +
              "\"\nallow = [\"class:trade\"]\ndurability = \"" + durability + "\"\n";
    }
  }
  return text;
}

}  // namespace

std::vector<std::string> SignerDirectory::keys_of(const std::string& durability) {
  std::vector<std::string> keys;
  for (int i = 0; i < kKeysEach; ++i) keys.push_back(durability + "-" + std::to_string(i));
  return keys;
}

Result<std::unique_ptr<SignerDirectory>> SignerDirectory::make(const std::string& parent,
                                                               unsigned workers) {
  std::string pattern = parent + "/hsm-bench-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr)
    return fail(os_error(Code::usage, "cannot make a directory in", parent));
  std::unique_ptr<SignerDirectory> made{new SignerDirectory{pattern}};
  TRY_VOID(made->fill(workers));
  return made;
}

SignerDirectory::~SignerDirectory() {
  (void)control({"down"});
  std::error_code ignored;
  std::filesystem::remove_all(parent_, ignored);
}

Result<void> SignerDirectory::control(std::vector<std::string> verb,
                                      const std::string& input) const {
  verb.insert(verb.begin(), {HSM_SIGNERCTL, "--dir", dir()});
  return run_program(verb, input);
}

Result<void> SignerDirectory::fill(unsigned workers) {
  TRY_VOID(control({"init", "--workers", std::to_string(workers)}));
  TRY_VOID(write_file_atomic(dir() + "/policy.toml", as_bytes(policy()), 0644));
  TRY_VOID(control({"up"}));
  for (const char* durability : {"os", "fsync"}) {
    for (const std::string& key : keys_of(durability)) {
      // signer-ms has 1,000 nonces a second and would run ahead of the clock here.
      TRY_VOID(
          control({"key", "import", key, "--api-key", "account-" + key, "--environment", "sandbox",
                   "--roles", "trader", "--nonce", "signer-us", "--secret-file", "-"},
                  std::string{kBenchKey}));
    }
  }
  return {};
}

Result<SignerDirectory*> SignerDirectories::with_workers(unsigned workers) {
  std::unique_ptr<SignerDirectory>& place = made_[workers];
  if (!place) {
    TRY(place, SignerDirectory::make(parent_, workers));
  }
  return place.get();
}

}  // namespace hsm::bench

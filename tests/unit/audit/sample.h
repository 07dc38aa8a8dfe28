// Records, an audit key whose private half stays in the test, and small logs made of them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hsm_signer/audit/checkpoint.h"
#include "hsm_signer/audit/log.h"
#include "hsm_signer/audit/record.h"

struct evp_pkey_st;

namespace hsm::audit {

inline constexpr std::string_view kOrigin = "hsm-signer/test";
inline constexpr std::uint64_t kWorker = 0x00f3a19c44d2be71;
inline constexpr std::string_view kToken = "desk";

// What the token is in production.
class TestKey {
 public:
  explicit TestKey(const char* group = "P-256");
  std::string public_pem() const;
  Bytes spki() const;
  Bytes sign(std::string_view text) const;
  std::string note(std::uint64_t size, const Sha256& root, std::string_view origin = kOrigin) const;

 private:
  std::shared_ptr<evp_pkey_st> key_;
};

// Valid records; allow() has this nonce and this count of kWorker.
Record allow_record(std::uint64_t nonce, std::uint64_t counter);
Record refuse_record();
// What kWorker says once it has signed the allow() of counts 1 to `count`, in this order,
Record usage_record(const TestKey& key, std::uint64_t count);
Record start_record();

// Appends, flushes, syncs; aborts the test where that fails.
void write_records(Log& log, const std::vector<Record>& records);
void seal_head(Log& log, const TestKey& key);

std::string slurp(const std::string& path);
void spit(const std::string& path, std::string_view text);

// Runs `body` in a forked child and answers what it returned, so that limits and identities that
// it takes on end with it. The child must not use threads of the parent.
int in_child(const std::function<int()>& body);

}  // namespace hsm::audit

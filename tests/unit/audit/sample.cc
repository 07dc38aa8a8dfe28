#include "tests/unit/audit/sample.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>

#include "hsm_signer/base/usage_text.h"

namespace hsm::audit {
namespace {

void require(bool holds, const std::string& what) {
  if (holds) return;
  std::cerr << "test set-up failed: " << what << std::endl;
  std::abort();
}

}  // namespace

TestKey::TestKey(const char* group) : key_{EVP_EC_gen(group), &EVP_PKEY_free} {
  require(key_ != nullptr, "EVP_EC_gen");
}

std::string TestKey::public_pem() const {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio{BIO_new(BIO_s_mem()), &BIO_free};
  require(PEM_write_bio_PUBKEY(bio.get(), key_.get()) == 1, "PEM_write_bio_PUBKEY");
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

Bytes TestKey::spki() const {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key_.get(), &der);
  require(size > 0, "i2d_PUBKEY");
  Bytes bytes(der, der + size);
  OPENSSL_free(der);
  return bytes;
}

Bytes TestKey::sign(std::string_view text) const {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free};
  Bytes signature(256);
  std::size_t size = signature.size();
  require(EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1 &&
              EVP_DigestSign(context.get(), signature.data(), &size, as_bytes(text).data(),
                             text.size()) == 1,
          "EVP_DigestSign");
  signature.resize(size);
  return signature;
}

std::string TestKey::note(std::uint64_t size, const Sha256& root, std::string_view origin) const {
  const std::string text = checkpoint_text(origin, size, root);
  return seal(text, origin, spki(), sign(text));
}

Record allow_record(std::uint64_t nonce, std::uint64_t counter) {
  Record record = Record::sign(1000, 1001, 4242);
  record.time = Clock::Wall{std::chrono::microseconds{1'763'925'302'123'456}};
  record.verdict = Verdict::allow;
  record.client = "mm-bot";
  record.op = "sign_request";
  record.key = "desk-a.trade";
  record.version = 3;
  record.api_key_id = "account-AbC123";
  record.endpoint = "/v1/order/new";
  record.endpoint_class = "trade";
  record.payload_sha256 = hex_encode(sha256(as_bytes("payload")));
  record.fields = {{"symbol", "btcusd"}, {"amount", "0.5"}, {"price", "30000"}};
  record.rule = "market maker trades btc and eth";
  record.reference = "order-17";
  record.latency_us = 612;
  record.nonce = std::to_string(nonce);
  record.worker = kWorker;
  record.worker_counter = counter;
  record.signature_sha256 = hex_encode(sha256(as_bytes("signature")));
  record.durability = Durability::os;
  return record;
}

Record refuse_record() {
  Record record = Record::sign(1000, 1001, 4242);
  record.time = Clock::Wall{std::chrono::microseconds{1'763'925'302'200'000}};
  record.client = "mm-bot";
  record.op = "sign_request";
  record.key = "desk-a.trade";
  record.version = 3;
  record.api_key_id = "account-AbC123";
  record.endpoint = "/v2/withdraw/{network}/{ticker}";
  record.endpoint_class = "move";
  record.payload_sha256 = hex_encode(sha256(as_bytes("another")));
  record.latency_us = 48;
  record.code = "denied";
  record.sentence = "no rule allows mm-bot this endpoint with desk-a.trade";
  return record;
}

Record usage_record(const TestKey& key, std::uint64_t count) {
  Record record;
  record.kind = Kind::usage;
  record.time = start_record().time;
  record.token = kToken;
  record.worker = kWorker;
  record.worker_counter = count;
  Sha256 digest{};
  for (std::uint64_t i = 1; i <= count; ++i)
    digest = usage_digest(digest, i, sha256(as_bytes("payload")), "desk-a.trade.v3");
  record.digest = hex_encode(digest);
  record.audit_key = hex_encode(sha256(key.spki()));
  record.signature = base64_encode(key.sign(usage_text(kToken, kWorker, count, digest)));
  return record;
}

Record start_record() {
  Record record = Record::start("5f0c2b9e");
  record.time = Clock::Wall{std::chrono::microseconds{1'763'925'300'000'000}};
  record.software = "0.1.0";
  record.binary_sha256 = hex_encode(sha256(as_bytes("binary")));
  record.config_sha256 = hex_encode(sha256(as_bytes("config")));
  record.policy_sha256 = hex_encode(sha256(as_bytes("policy")));
  return record;
}

void write_records(Log& log, const std::vector<Record>& records) {
  for (const Record& record : records) {
    const auto appended = log.append(record);
    require(appended.has_value(), appended ? "" : appended.error().sentence());
  }
  const auto flushed = log.flush();
  require(flushed.has_value(), flushed ? "" : flushed.error().sentence());
  require(log.sync().has_value(), "sync");
}

void seal_head(Log& log, const TestKey& key) {
  const auto added = log.add_checkpoint(key.note(log.size(), log.root()));
  require(added.has_value(), added ? "" : added.error().sentence());
  require(log.sync().has_value(), "sync");
}

std::string slurp(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

void spit(const std::string& path, std::string_view text) {
  // Afresh: ext4 flushes a file that was truncated and written again when it is closed.
  ::unlink(path.c_str());
  std::ofstream file{path, std::ios::binary};
  file << text;
  require(file.flush().good(), "write " + path);
}

int in_child(const std::function<int()>& body) {
  std::cout.flush();
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  require(child > 0 && ::waitpid(child, &status, 0) == child, "fork");
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace hsm::audit

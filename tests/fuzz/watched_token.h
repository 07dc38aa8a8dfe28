// The far side of hsm-tokend's dispatcher for its fuzzer: a vault and service keys that look at
// every call that reaches the token. Whatever must never be signed or changed is demanded here,
// where it would happen, by readers of its own.
#pragma once

#include <openssl/evp.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hsm_signer/token/dispatch.h"
#include "hsm_signer/venue/endpoints.h"
#include "tests/fuzz/demand.h"
#include "tests/support/fake_vault.h"

namespace hsm::token {

using fuzz::demand;
using venue::Class;

inline const std::string kSecret(48, 's');
inline const Bytes kSignature{0x30, 1, 2};
inline constexpr std::uint64_t kWorkerId = 7;
inline constexpr std::uint32_t kPayloadLimit = 1'024;

inline constexpr std::string_view kCeilings = R"(version = 1
[[key]]
label = "desk"
environment = "production"
classes = ["session"]
rate = 2
[[key]]
label = "sand"
environment = "sandbox"
classes = ["read", "cancel", "trade", "session", "move"]
officers = 0
[[key]]
label = "funds"
environment = "production"
classes = ["read", "move", "widen"]
officers = { group = "officers", need = 2 }
)";

// The same once more, as a person reads it: what each key may sign without an officer's word, and
// how often within a second.
struct Allowed {
  std::set<Class> classes;
  std::size_t rate;
};
inline const Allowed& allowed(std::string_view key_name) {
  static const std::map<std::string_view, Allowed> kKnown{
      {"desk", {{Class::session}, 2}},
      {"sand", {{Class::read, Class::cancel, Class::trade, Class::session, Class::move}, 50}},
      {"funds", {{Class::read}, 50}}};
  static const Allowed kOther{{Class::read, Class::cancel, Class::trade, Class::session}, 50};
  const auto known = kKnown.find(key_name);
  return known == kKnown.end() ? kOther : known->second;
}

inline const std::vector<ObjectName> kObjects{
    {"desk.v1", 1}, {"desk.v2", 2}, {"sand.v1", 3}, {"funds.v1", 4}, {"other.v1", 5}};

// "/v1/wrap/btcusd" against "/v1/wrap/{symbol}".
inline bool fits(std::string_view path, std::string_view pattern) {
  while (!path.empty() && !pattern.empty()) {
    const std::string_view word = path.substr(0, path.find('/', 1));
    const std::string_view wanted = pattern.substr(0, pattern.find('/', 1));
    const bool parameter = wanted.find('{') != std::string_view::npos && word.size() > 1;
    if (!parameter && word != wanted) return false;
    path.remove_prefix(word.size());
    pattern.remove_prefix(wanted.size());
  }
  return path.empty() && pattern.empty();
}

// Every class that a row could give this path: literal rows and those with parameters.
inline std::set<Class> classes_of(std::string_view path) {
  std::set<Class> classes;
  for (const venue::Endpoint& endpoint : venue::endpoints()) {
    if (endpoint.path == path) return {endpoint.cls};
    if (fits(path, endpoint.path)) classes.insert(endpoint.cls);
  }
  return classes;
}

// What another decoder and another JSON parser find in the bytes that are about to be signed.
inline void demand_within_the_ceiling(const ObjectName& object, ByteView message) {
  demand(message.size() <= kPayloadLimit, "no message over the limit is signed");
  Bytes json(message.size() + 3);
  const int size = EVP_DecodeBlock(json.data(), message.data(), static_cast<int>(message.size()));
  demand(size > 0, "what is signed is base64");
  std::string text{reinterpret_cast<const char*>(json.data()), static_cast<std::size_t>(size)};
  while (!text.empty() && text.back() == '\0') text.pop_back();
  const auto parsed = nlohmann::json::parse(text, nullptr, false);
  demand(parsed.is_object() && parsed.contains("nonce") && parsed.contains("request") &&
             parsed["request"].is_string(),
         "what is signed is a payload");
  const auto classes = classes_of(parsed["request"].get<std::string>());
  demand(!classes.empty(), "what is signed is in the table of the venue");
  const auto label = object.label.substr(0, object.label.rfind(".v"));
  for (const Class cls : classes)
    demand(allowed(label).classes.contains(cls), "nothing above the ceiling is signed");
}

// The keys of the token, and what the dispatcher asked of them.
class WatchedVault final : public Vault {
 public:
  explicit WatchedVault(Role role) : signing_{role == Role::signing} {
    for (const ObjectName& object : kObjects) keys().plant(object, as_bytes(kSecret));
  }
  ~WatchedVault() override {
    const auto left = keys().list();
    for (const ObjectName& object : *left) {
      keys().forget(object);
      keys().remove(object);
    }
  }

  Result<std::vector<ObjectName>> list() override { return keys().list(); }
  Result<void> find(const KeyRef& key) override {
    demand(signing_, "the admin socket finds no key to sign with");
    return keys().find(key);
  }
  Result<Mac> mac(const KeyRef& key, ByteView message) override {
    demand(signing_, "the admin socket signs nothing");
    demand_within_the_ceiling(key.object, message);
    auto mac = keys().mac(key, message);
    if (!mac) return mac;
    const std::string name = key.object.label.substr(0, key.object.label.rfind(".v"));
    demand(++signed_[name] <= allowed(name).rate, "no key signs above its rate");
    digest_ = next_digest(key.object.label, message);
    last_ = *mac;
    return mac;
  }
  Result<void> canary(const KeyRef& key) override {
    demand(signing_, "a canary comes before a signature");
    return keys().canary(key);
  }
  std::string_view decrypted_by() const override { return "token"; }
  Result<wire::KeyCheckValue> key_check(const ObjectName& object) override {
    demand(signing_, "key_check is of the signing socket");
    return keys().key_check(object);
  }
  void forget(const ObjectName& object) override {
    demand(signing_, "forget is of the signing socket");
    keys().forget(object);
  }
  Result<void> import(const ObjectName& object, const wire::WrappedKey& blob) override {
    demand(!signing_, "the signing socket imports nothing");
    return keys().import(object, blob);
  }
  Result<void> destroy(const ObjectName& object) override {
    demand(!signing_, "the signing socket destroys nothing");
    return keys().destroy(object);
  }
  Result<std::string> wrap_key_pem() override {
    demand(!signing_, "the wrap key is asked for on the admin socket");
    return keys().wrap_key_pem();
  }

  // One set of keys for all inputs: its wrap key is slow to make.
  static test::FakeVault& keys() {
    static test::FakeVault vault;
    return vault;
  }
  const std::optional<Mac>& last() const { return last_; }
  void clear_last() { last_.reset(); }
  std::uint64_t count() const { return count_; }
  const Sha256& digest() const { return digest_; }

 private:
  // docs/protocol.md, "0xc1 mac answer": written out, not taken from the Ledger.
  Sha256 next_digest(std::string_view label, ByteView message) {
    ++count_;
    Bytes text{digest_.begin(), digest_.end()};
    for (unsigned shift = 0; shift < 64; shift += 8)
      text.push_back(static_cast<Byte>(count_ >> shift & 0xff));
    const auto payload = base64_decode_canonical(as_text(message));
    demand(payload.has_value(), "what is signed is base64");
    const Sha256 hash = sha256(*payload);
    text.insert(text.end(), hash.begin(), hash.end());
    for (const char c : label) text.push_back(static_cast<Byte>(c));
    return sha256(text);
  }

  const bool signing_;
  std::map<std::string, std::size_t> signed_;
  std::optional<Mac> last_;
  std::uint64_t count_ = 0;
  Sha256 digest_{};
};

// The audit key signs checkpoints and usage texts, each for its own question.
class WatchedServiceKeys final : public ServiceKeys {
 public:
  explicit WatchedServiceKeys(Role role) : signing_{role == Role::signing} {}
  Result<Bytes> sign(ByteView bytes) override {
    demand(signing_, "the audit key signs for the signing socket");
    const std::string_view text = as_text(bytes);
    const bool usage = text.starts_with("hsm-signer usage v1\ndesk\n7\n");
    demand(usage == (asked_ == wire::Type::usage), "a usage text is never signed as a checkpoint");
    demand(text.ends_with('\n') && std::count(text.begin(), text.end(), '\n') >= 3,
           "what the audit key signs has three lines at least");
    const std::string_view origin = text.substr(0, text.find('\n'));
    demand(usage || origin.find(' ') == std::string_view::npos, "an origin has no blanks");
    return kSignature;
  }
  Result<void> ensure() override {
    demand(!signing_, "the signing socket generates no keys");
    return {};
  }
  void asked(wire::Type type) { asked_ = type; }

 private:
  const bool signing_;
  wire::Type asked_{};
};

}  // namespace hsm::token

#include "tests/support/fake_vault.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <algorithm>
#include <map>
#include <optional>

#include "hsm_signer/token/login.h"

namespace hsm::test {

using token::KeyRef;
using token::ObjectName;

struct FakeVault::Impl {
  struct Object {
    ObjectName name;
    Bytes key;
    int handle;
  };
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> wrap{EVP_RSA_gen(3072), &EVP_PKEY_free};
  std::vector<Object> objects{};
  std::map<std::string, std::pair<KeyRef, int>> proven{};
  std::optional<Error> next{};
  int last_handle = 0;
  bool lies = false;

  Mac sign(const Object& object, ByteView message) const {
    Mac mac = hmac_sha384(object.key, message);
    if (lies) mac[0] ^= 1;
    return mac;
  }
  wire::KeyCheckValue key_check(const Object& object) const {
    const Mac mac = sign(object, as_bytes(wire::kKeyCheckText));
    wire::KeyCheckValue value;
    std::copy_n(mac.begin(), value.size(), value.begin());
    return value;
  }

  const Object* by_handle(int handle) const {
    for (const Object& object : objects) {
      if (object.handle == handle) return &object;
    }
    return nullptr;
  }

  Result<const Object*> locate(const ObjectName& name) const {
    TRY_VOID(token::check_object_name(name));
    const Object* found = nullptr;
    int relatives = 0;
    for (const Object& object : objects) {
      if (object.name.label != name.label && object.name.cka_id != name.cka_id) continue;
      ++relatives;
      if (object.name == name) found = &object;
    }
    if (relatives > 1) return fail(Code::quarantined, "two objects share a label or a CKA_ID");
    if (found == nullptr) return fail(Code::key_not_active, "no such key", name.label);
    return found;
  }

  Result<const Object*> prove(const KeyRef& key) {
    const auto known = proven.find(key.object.label);
    if (known != proven.end() && known->second.first.object == key.object &&
        known->second.first.key_check == key.key_check) {
      if (const Object* object = by_handle(known->second.second)) return object;
    }
    proven.erase(key.object.label);
    TRY(const Object* object, locate(key.object));
    if (key_check(*object) != key.key_check)
      return fail(Code::quarantined, "another key than was registered", key.object.label);
    proven[key.object.label] = {key, object->handle};
    return object;
  }

  Bytes wrap_der() const {
    unsigned char* der = nullptr;
    const int size = i2d_PUBKEY(wrap.get(), &der);
    Bytes bytes{der, der + size};
    OPENSSL_free(der);
    return bytes;
  }

  Result<Bytes> unwrap(ByteView ciphertext) const {
    const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context{
        EVP_PKEY_CTX_new_from_pkey(nullptr, wrap.get(), nullptr), &EVP_PKEY_CTX_free};
    std::size_t size = 512;
    Bytes key(size);
    if (EVP_PKEY_decrypt_init(context.get()) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING) != 1 ||
        EVP_PKEY_decrypt(context.get(), key.data(), &size, ciphertext.data(), ciphertext.size()) !=
            1)
      return fail(Code::usage, "the wrapped key does not unwrap");
    key.resize(size);
    return key;
  }
};

FakeVault::FakeVault() : impl_{std::make_unique<Impl>()} {}
FakeVault::~FakeVault() = default;

Result<std::vector<ObjectName>> FakeVault::list() {
  std::vector<ObjectName> names;
  for (const auto& object : impl_->objects) {
    if (token::check_object_name(object.name)) names.push_back(object.name);
  }
  std::sort(names.begin(), names.end(),
            [](const auto& a, const auto& b) { return a.label < b.label; });
  return names;
}

Result<void> FakeVault::find(const KeyRef& key) {
  TRY_VOID(impl_->prove(key));
  return {};
}

Result<Mac> FakeVault::mac(const KeyRef& key, ByteView message) {
  TRY(const auto* object, impl_->prove(key));
  if (impl_->next) return fail(*std::exchange(impl_->next, std::nullopt));
  return impl_->sign(*object, message);
}

Result<void> FakeVault::canary(const KeyRef& key) {
  TRY(const auto* object, impl_->prove(key));
  if (impl_->key_check(*object) == key.key_check) return {};
  return fail(Code::quarantined, "a key that signed rightly signs wrongly now", key.object.label);
}

void FakeVault::lie() { impl_->lies = true; }

Result<wire::KeyCheckValue> FakeVault::key_check(const ObjectName& name) {
  TRY(const auto* object, impl_->locate(name));
  return impl_->key_check(*object);
}

void FakeVault::forget(const ObjectName& name) { impl_->proven.erase(name.label); }

Result<void> FakeVault::import(const ObjectName& name, const wire::WrappedKey& blob) {
  TRY_VOID(token::check_object_name(name));
  if (blob.wrap_key != sha256(impl_->wrap_der()))
    return fail(Code::usage, "this wrapped key is for another token");
  for (const auto& object : impl_->objects) {
    if (object.name.label == name.label || object.name.cka_id == name.cka_id)
      return fail(Code::usage, "the token holds this label or CKA_ID already", name.label);
  }
  TRY(const Bytes key, impl_->unwrap(blob.ciphertext));
  if (wire::key_check_value(key) != blob.key_check)
    return fail(Code::usage, "the wrapped key holds another secret than it says");
  plant(name, key);
  return {};
}

Result<void> FakeVault::destroy(const ObjectName& name) {
  forget(name);
  TRY_VOID(impl_->locate(name));
  remove(name);
  return {};
}

Result<std::string> FakeVault::wrap_key_pem() { return token::public_key_pem(impl_->wrap_der()); }

void FakeVault::plant(const ObjectName& name, ByteView key) {
  impl_->objects.push_back({name, Bytes{key.begin(), key.end()}, ++impl_->last_handle});
}

void FakeVault::remove(const ObjectName& name) {
  std::erase_if(impl_->objects, [&](const auto& object) { return object.name == name; });
}

void FakeVault::fail_next(Error error) { impl_->next = std::move(error); }

}  // namespace hsm::test

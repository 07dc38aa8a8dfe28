#include "hsm_signer/token/login.h"

#include <libp11.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <optional>

#include "hsm_signer/token/service_keys.h"
#include "hsm_signer/token/vault.h"

namespace hsm::token {
namespace {

using OwnedKey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

// libp11 leaves the CK_RV as the reason of OpenSSL's last error.
Error libp11_error(std::string_view what) {
  const unsigned long last = ERR_peek_last_error();
  ERR_clear_error();
  const auto rv = static_cast<CK_RV>(ERR_GET_REASON(last));
  return last == 0 ? Error{.code = Code::token_unavailable, .what = what, .detail = "libp11"}
                   : ck_error(what, rv);
}

std::string text_of(const char* text) {
  return text == nullptr ? std::string{} : std::string{text};
}

Result<Bytes> public_der(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int size = key == nullptr ? 0 : i2d_PUBKEY(key, &der);
  if (size <= 0) return fail(Code::token_unavailable, "the token's public key is not readable");
  Bytes bytes{der, der + size};
  OPENSSL_free(der);
  return bytes;
}

}  // namespace

struct TokenAccess::Impl {
  const Cryptoki* cryptoki;
  const KillTimer* timer;
  PKCS11_CTX* context;
  PKCS11_SLOT* slots = nullptr;
  unsigned int count = 0;
  PKCS11_SLOT* slot = nullptr;
  OwnedKey audit{nullptr, &EVP_PKEY_free};
  Bytes audit_der{};
  Bytes wrap_der{};
  std::optional<Session> keeps_login{};

  // The one key that carries label and CKA_ID of `key`.
  Result<PKCS11_KEY*> pick(const ServiceKey& key, PKCS11_KEY* keys, unsigned int size) const {
    const Bytes id = cka_id_bytes(key.cka_id);
    for (unsigned int i = 0; i < size; ++i) {
      if (text_of(keys[i].label) != key.label) continue;
      if (std::equal(id.begin(), id.end(), keys[i].id, keys[i].id + keys[i].id_len))
        return &keys[i];
    }
    return fail(Code::token_unavailable, "the token lacks a key of the token host",
                std::string{key.label});
  }
};

TokenAccess::TokenAccess(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
TokenAccess::TokenAccess(TokenAccess&&) noexcept = default;
TokenAccess::~TokenAccess() {
  // Freeing an EVP_PKEY of libp11 may call into the module.
  if (impl_ == nullptr) return;
  const CallDeadline deadline{*impl_->timer};
  impl_->audit.reset();
}

Result<TokenAccess> TokenAccess::find(const Cryptoki& cryptoki, const TokenUri& uri) {
  const CallDeadline deadline{cryptoki.timer(), Pace::start};
  ERR_clear_error();
  auto impl = std::make_unique<Impl>(
      Impl{.cryptoki = &cryptoki, .timer = &cryptoki.timer(), .context = PKCS11_CTX_new()});
  if (impl->context == nullptr ||
      PKCS11_CTX_load(impl->context, cryptoki.module_path().c_str()) != 0)
    return fail(libp11_error("libp11 cannot use the PKCS#11 module"));
  if (PKCS11_enumerate_slots(impl->context, &impl->slots, &impl->count) != 0)
    return fail(libp11_error("cannot list the module's slots"));
  for (unsigned int i = 0; i < impl->count; ++i) {
    const PKCS11_TOKEN* token = impl->slots[i].token;
    if (token == nullptr || token->initialized == 0) continue;
    const TokenIdentity identity{.token = text_of(token->label),
                                 .manufacturer = text_of(token->manufacturer),
                                 .model = text_of(token->model),
                                 .serial = text_of(token->serialnr)};
    if (!uri.matches(identity)) continue;
    if (impl->slot != nullptr)
      return fail(Code::token_unavailable, "more than one token matches; add serial=… to the URI",
                  uri.text());
    impl->slot = &impl->slots[i];
  }
  if (impl->slot == nullptr)
    return fail(Code::token_unavailable, "no initialised token matches the URI", uri.text());
  return TokenAccess{std::move(impl)};
}

CK_SLOT_ID TokenAccess::slot() const { return PKCS11_get_slotid_from_slot(impl_->slot); }

Result<void> TokenAccess::login(const Pin& pin) {
  TRY_VOID(login_of_libp11(pin));
  // p11-kit's client gives a connection, with a login of its own, to each who asks it for its
  // functions; libp11 asked for itself. Elsewhere Session is logged in by now.
  TRY(Session session, Session::open(*impl_->cryptoki, slot()));
  const auto logged_in = session.sees_private_objects();
  if (logged_in) return {};
  if (logged_in.error().ck_rv != CKR_USER_NOT_LOGGED_IN) return fail(logged_in.error());
  TRY_VOID(session.login(pin.reveal(PinAccess{}).first(pin.size())));
  impl_->keeps_login.emplace(std::move(session));  // With the last session the login ends.
  return {};
}

Result<void> TokenAccess::login_of_libp11(const Pin& pin) {
  const CallDeadline deadline{*impl_->timer, Pace::start};
  ERR_clear_error();
  const char* text = reinterpret_cast<const char*>(pin.reveal(PinAccess{}).data());
  if (PKCS11_login(impl_->slot, 0, text) != 0)
    return fail(libp11_error("the token refuses the login"));
  return {};
}

void TokenAccess::logout() {
  impl_->keeps_login.reset();
  const CallDeadline deadline{*impl_->timer};
  impl_->audit.reset();
  PKCS11_logout(impl_->slot);
  ERR_clear_error();
}

Result<void> TokenAccess::load_service_keys(const Profile& profile) {
  const CallDeadline deadline{*impl_->timer, Pace::start};
  ERR_clear_error();
  PKCS11_KEY* keys = nullptr;
  unsigned int size = 0;
  if (PKCS11_enumerate_keys(impl_->slot->token, &keys, &size) != 0)
    return fail(libp11_error("cannot list the token's private keys"));
  TRY(PKCS11_KEY * audit, impl_->pick(kAuditKey, keys, size));
  impl_->audit = OwnedKey{PKCS11_get_private_key(audit), &EVP_PKEY_free};
  if (!impl_->audit) return fail(libp11_error("the audit key is not usable"));
  TRY(impl_->audit_der, public_der(impl_->audit.get()));
  if (profile.way != SecretWay::unwrapped_in_token) return {};
  TRY(PKCS11_KEY * wrap, impl_->pick(kWrapKey, keys, size));
  const OwnedKey wrap_public{PKCS11_get_public_key(wrap), &EVP_PKEY_free};
  TRY(impl_->wrap_der, public_der(wrap_public.get()));
  return {};
}

Result<Bytes> TokenAccess::sign_with_audit_key(ByteView text) const {
  const CallDeadline deadline{*impl_->timer};
  ERR_clear_error();
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free};
  Bytes signature(static_cast<std::size_t>(EVP_PKEY_get_size(impl_->audit.get())));
  std::size_t size = signature.size();
  if (!context ||
      EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, impl_->audit.get()) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &size, text.data(), text.size()) != 1)
    return fail(libp11_error("the audit key does not sign"));
  signature.resize(size);
  return signature;
}

Result<Bytes> TokenAccess::audit_public_key() const { return impl_->audit_der; }
Result<Bytes> TokenAccess::wrap_public_key() const { return impl_->wrap_der; }

std::string public_key_pem(ByteView der) {
  constexpr std::size_t kLine = 64;
  const std::string base64 = base64_encode(der);
  std::string pem = "-----BEGIN PUBLIC KEY-----\n";
  for (std::size_t at = 0; at < base64.size(); at += kLine)
    pem.append(base64, at, kLine).append("\n");
  return pem.append("-----END PUBLIC KEY-----\n");
}

}  // namespace hsm::token

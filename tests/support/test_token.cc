#include "tests/support/test_token.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include "hsm_signer/token/service_keys.h"
#include "tests/support/key_thief.h"
#include "tests/support/raw_session.h"

namespace hsm::test {
namespace {

using token::ObjectName;
using token::Template;

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "test_token: %s\n", why.c_str());
  std::abort();
}

template <class T>
T must(Result<T> result) {
  if (!result) give_up(result.error().sentence());
  return *std::move(result);
}

std::string variable(const std::string& what, const std::string& usual = {}) {
  const char* text = std::getenv(("HSM_SIGNER_TEST_" + what).c_str());
  return text == nullptr || *text == '\0' ? usual : text;
}

// A spare key of a TPM waits under the key-check value of its secret.
std::string spare_label(ByteView canonical) {
  return "spare-" + hex_encode(wire::key_check_value(canonical));
}

Template name_template(const ObjectName& object) {
  Template name;
  name.text(CKA_LABEL, object.label).bytes(CKA_ID, token::cka_id_bytes(object.cka_id));
  return name;
}

}  // namespace

std::string TestToken::name() { return variable("TOKEN", variable("PROFILE", "softhsm")); }

TestToken::TestToken(const std::vector<SpareKey>& spares)
    : module_{variable("MODULE", kSoftHsmModule)},
      arguments_{variable("ARGUMENTS")},
      uri_{variable("URI", "pkcs11:token=desk")},
      pin_file_{variable("PIN_FILE")},
      profile_{must(token::find_profile(variable("PROFILE", "softhsm")))},
      timer_{must(token::KillTimer::create({.call = std::chrono::seconds{20}}))} {
  if (pin_file_.empty()) {
    own_.emplace();
    own_->use_in_this_process();
    pin_file_ = own_->pin_file();
  }
  std::signal(SIGPIPE, SIG_IGN);  // As in every worker (base/os.h lock_down()).
  if (links()) link(spares);
  open();
}

void TestToken::open() {
  cryptoki_.emplace(must(token::Cryptoki::load(module_, arguments_, timer_)));
  access_.emplace(must(token::TokenAccess::find(*cryptoki_, must(token::TokenUri::parse(uri_)))));
  if (auto in = access_->login(must(token::read_pin(pin_file_))); !in)
    give_up(in.error().sentence());
  service_keys_ = token::ensure_service_keys(session(), *profile_);
  if (service_keys_) service_keys_ = access_->load_service_keys(*profile_);
  const bool in_file = profile_->way == token::SecretWay::decrypted_in_host;
  wrap_key_ = must(token::wrap_key_for(*profile_, must(access_->wrap_public_key()),
                                       in_file ? wrap_key_file() : std::string{}));
  token::TokenVault vault{session(), *profile_, *wrap_key_};
  if (!must(vault.list()).empty())
    give_up("this token holds keys of hsm-signer; give me one that is for tests only");
}

std::string TestToken::wrap_key_file() {
  const std::string path = dir_ / "wrap.pem";
  std::FILE* file = std::fopen(path.c_str(), "we");
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{EVP_RSA_gen(3072), &EVP_PKEY_free};
  if (file == nullptr || ::chmod(path.c_str(), 0600) != 0 ||
      PEM_write_PKCS8PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
    give_up("cannot make a wrap key file");
  std::fclose(file);
  return path;
}

// The module reads its store once, when it is initialised.
void TestToken::link(const std::vector<SpareKey>& spares) {
  const std::string list = dir_ / "spares";
  std::ofstream lines{list};
  for (const SpareKey& spare : spares) {
    const SecretBytes canonical =
        must(wire::canonical_secret(SecretBytes::copy_of(as_bytes(spare.secret))));
    lines << spare_label(canonical.view()) << ' ' << hex_encode(canonical.view()) << ' '
          << spare.count << '\n';
  }
  lines.close();
  const std::string command =
      "python3 " HSM_SOURCE_DIR "/tests/tokens/tpm_keys.py " + pin_file_ + " " + list;
  if (std::system(command.c_str()) != 0) give_up("tests/tokens/tpm_keys.py failed");
}

Result<void> TestToken::plant(const ObjectName& object, ByteView key) {
  const RawSession raw{module_, access_->slot(), pin_file_};
  Template name = name_template(object);
  if (links()) {
    Template match;
    match.number(CKA_CLASS, CKO_SECRET_KEY).text(CKA_LABEL, spare_label(key));
    const auto spare = raw.find(match);
    if (spare.empty() ||
        raw->C_SetAttributeValue(raw.handle(), spare.front(), name.data(), name.size()) != CKR_OK)
      return fail(Code::usage, "no spare key of this secret can be named");
    return {};
  }
  name.number(CKA_CLASS, CKO_SECRET_KEY).number(CKA_KEY_TYPE, profile_->key_types.front());
  name.flag(CKA_TOKEN, true).flag(CKA_PRIVATE, true).flag(CKA_SENSITIVE, true);
  name.flag(CKA_EXTRACTABLE, false).flag(CKA_SIGN, true).flag(CKA_VERIFY, true);
  name.bytes(CKA_VALUE, key);
  CK_OBJECT_HANDLE made = 0;
  if (const CK_RV rv = raw->C_CreateObject(raw.handle(), name.data(), name.size(), &made);
      rv != CKR_OK)
    return fail(token::ck_error("cannot plant a key", rv));
  return {};
}

void TestToken::remove(const ObjectName& object) {
  const RawSession raw{module_, access_->slot(), pin_file_};
  Template match = name_template(object);
  match.number(CKA_CLASS, CKO_SECRET_KEY);
  const auto found = raw.find(match);
  if (found.size() != 1 || raw->C_DestroyObject(raw.handle(), found.front()) != CKR_OK)
    give_up("cannot remove a key");
}

Result<std::optional<Bytes>> TestToken::wrapped_out(const ObjectName& object) {
  const RawSession raw{module_, access_->slot(), pin_file_};
  Template match = name_template(object);
  const auto found = raw.find(match);
  if (found.size() != 1) give_up("cannot find the key that is to be wrapped");
  return test::wrapped_out(raw, found.front());
}

void TestToken::clear() {
  const RawSession raw{module_, access_->slot(), pin_file_};
  Template match;
  match.number(CKA_CLASS, CKO_SECRET_KEY).flag(CKA_TOKEN, true);
  for (const CK_OBJECT_HANDLE object : raw.find(match)) {
    if (raw.label(object).find("contract-") != std::string::npos)
      raw->C_DestroyObject(raw.handle(), object);
  }
}

}  // namespace hsm::test

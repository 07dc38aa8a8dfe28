// register (staged) → import → activate. What a crash leaves between these, key_check.cc finds.
#include <unistd.h>

#include <array>
#include <ostream>

#include "hsm_signer/base/terms.h"
#include "hsm_signer/ctl/admin_call.h"
#include "hsm_signer/ctl/secret.h"
#include "hsm_signer/ctl/verbs.h"
#include "hsm_signer/nonce/form.h"
#include "hsm_signer/wire/blob.h"
#include "hsm_signer/wire/token.h"

namespace hsm::ctl {
namespace {

constexpr std::size_t kBlobLimit = 16 * 1024;

Result<wire::RegisterKey> registration(const ImportOptions& options, const TokenConfig& token) {
  if (!is_name(options.name))
    return fail(Code::usage, "a key name must match [a-z0-9][a-z0-9._-]{0,31}");
  if (!is_api_key_id(options.api_key))
    return fail(Code::usage, "--api-key takes 1 to 64 letters, digits, '_' and '-'",
                "it is the key's id, not its secret");
  if (!from_spelling(kEnvironments, options.environment))
    return fail(Code::usage, "--environment takes sandbox or production");
  if (!from_spelling(kScopes, options.scope))
    return fail(Code::usage, "--scope takes account or master");
  TRY(const nonce::Form form, nonce::form_from_name(options.nonce));
  wire::RegisterKey ask;
  ask.key = options.name;
  ask.token = token.name.value;
  ask.api_key_id = options.api_key;
  ask.environment = options.environment;
  ask.scope = options.scope;
  ask.roles = options.roles;
  ask.nonce_form = std::string{nonce::name(form)};
  return ask;
}

Result<wire::WrappedKey> read_blob(const std::string& path) {
  TRY(const std::string content, read_input(path, kBlobLimit));
  if (content.starts_with("HSMWRAP1")) return wire::WrappedKey::decode(as_bytes(content));
  return wire::WrappedKey::from_text(content);
}

Result<wire::WrappedKey> wrapped_secret(Context& context, const ImportOptions& options,
                                        const TokenConfig& token) {
  auto pem = read_file(token.wrap_key, kPemLimit);
  if (!pem) {
    pem.error().detail += "; hsm-tokend writes it when it first runs";
    return fail(pem.error());
  }
  TRY(const Sha256 pinned, wire::fingerprint(as_text(*pem)));
  context.note("token \"" + token.name.value + "\", wrap key " + wire::fingerprint_text(pinned));
  if (options.blob.empty()) {
    TRY(const SecretBytes secret, read_secret(options.secret_file));
    return wire::wrap(secret, as_text(*pem));
  }
  TRY(wire::WrappedKey wrapped, read_blob(options.blob));
  if (wrapped.wrap_key == pinned) return wrapped;
  return fail(Code::usage, "the blob was wrapped for another token",
              "it is for " + wire::fingerprint_text(wrapped.wrap_key) + ", token \"" +
                  token.name.value + "\" has " + wire::fingerprint_text(pinned));
}

// The token refused: nothing is there, so the version is given up at once. Its numbers stay used.
Error give_up(client::Client& admin, const ImportOptions& options, const wire::Registered& version,
              Error why) {
  Result<void> given_up =
      change_version(admin, wire::Type::forget_key, options.name, version.version);
  if (given_up)
    given_up = change_version(admin, wire::Type::destroyed_key, options.name, version.version);
  why.detail +=
      given_up ? "; nothing was imported"
               : "; its registration stays: hsm-signerctl key check " + options.name + " --mend";
  return why;
}

Error unfinished(const ImportOptions& options, const wire::Registered& version, Error why) {
  why.detail += "; " + version.label + " stays staged: hsm-signerctl key check " + options.name +
                " --mend finishes or removes it";
  return why;
}

struct Brought {
  std::string decrypted_by;  // "token" or "host"
  bool active = false;       // Else it waits for officers' statement.
};

Result<Brought> import_and_activate(client::Client& admin, client::Client& token,
                                    const ImportOptions& options, const wire::Registered& version,
                                    const wire::WrappedKey& blob) {
  const wire::Import ask{.label = version.label,
                         .cka_id = version.cka_id,
                         .blob = blob.encode(),
                         .production = options.environment == name(Environment::production)};
  const auto imported = token.call<wire::Imported>(ask);
  // While the connection stands, the token host has said no; when it is gone, nobody knows.
  if (!imported) {
    return fail(token.connected() ? give_up(admin, options, version, imported.error())
                                  : unfinished(options, version, imported.error()));
  }
  if (imported->key_check != blob.key_check) {
    return fail(unfinished(options, version,
                           {.code = Code::verification_failed,
                            .what = "the token holds another secret than the one sent"}));
  }
  const auto activated =
      change_version(admin, wire::Type::activate_key, options.name, version.version);
  // Officers state an import and an activation apart: the number of a version is known only now.
  const bool waits = !activated && activated.error().code == Code::approval_required;
  if (!activated && !waits) return fail(unfinished(options, version, activated.error()));
  return Brought{imported->decrypted_by, activated.has_value()};
}

}  // namespace

Result<void> key_import(Context& context, const ImportOptions& options) {
  TRY_VOID(refuse_secret_environment(environ));
  if (!options.blob.empty() && !options.secret_file.empty())
    return fail(Code::usage, "give either --blob or --secret-file");
  TRY(const TokenConfig token, context.token(options.token));
  TRY(wire::RegisterKey ask, registration(options, token));
  TRY(ask.statement, read_statement(options.statement));
  // Asked first, so that nobody types a secret for a signer that is not there.
  TRY_VOID(context.admin());
  TRY(const wire::WrappedKey blob, wrapped_secret(context, options, token));
  ask.key_check = blob.key_check;
  TRY(client::Client admin, context.admin());
  TRY(client::Client token_admin, context.token_admin(token));
  TRY(const wire::Registered version,
      admin_call<wire::Registered>(admin, wire::Type::register_key, ask));
  TRY(const Brought brought, import_and_activate(admin, token_admin, options, version, blob));
  if (brought.decrypted_by == "host")
    context.note(
        "this token cannot unwrap: hsm-tokend decrypted the secret and had it in its memory "
        "for an instant");
  Json json;
  json.text("key", options.name)
      .number("version", version.version)
      .text("label", version.label)
      .number("cka_id", version.cka_id)
      .text("token", token.name.value)
      .text("wrap_key", wire::fingerprint_text(blob.wrap_key))
      .text("key_check", hex_encode(blob.key_check))
      .text("decrypted_by", brought.decrypted_by)
      .text("state", brought.active ? "active" : "staged");
  const std::string next =
      "; officers have to state its activation: hsm-signerctl statement make "
      "activate, then key activate " +
      options.name + " --statement FILE";
  context.answer(json, "key \"" + options.name + "\" version " + std::to_string(version.version) +
                           (brought.active ? " is active" : " is staged") + " (key check " +
                           hex_encode(blob.key_check) + ")" + (brought.active ? "" : next) + "\n");
  return {};
}

}  // namespace hsm::ctl

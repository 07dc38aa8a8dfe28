#include <algorithm>

#include "hsm_signer/base/terms.h"
#include "hsm_signer/ctl/admin_call.h"
#include "hsm_signer/ctl/confirm.h"
#include "hsm_signer/ctl/verbs.h"
#include "hsm_signer/officers/bundle.h"
#include "hsm_signer/wire/token.h"

namespace hsm::ctl {
namespace {

Json version_json(const wire::VersionItem& item) {
  Json json;
  json.text("key", item.key)
      .number("version", item.version)
      .text("label", key_label(item.key, item.version))
      .text("token", item.token)
      .number("cka_id", item.cka_id)
      .text("api_key_id", item.api_key_id)
      .text("environment", item.environment)
      .text("scope", item.scope)
      .text("roles", item.roles)
      .text("nonce", item.nonce_form)
      .text("key_check", item.key_check)
      .text("state", item.state)
      .text("created", item.created)
      .text("activated", item.activated)
      .text("health", item.health);
  return json;
}

std::string version_text(const wire::VersionItem& item) {
  return key_label(item.key, item.version) + "\n" +
         table({{"  state", item.state},
                {"  health", item.health},
                {"  API key", item.api_key_id},
                {"  environment", item.environment},
                {"  scope", item.scope},
                {"  roles", item.roles},
                {"  nonce", item.nonce_form},
                {"  token", item.token + " (CKA_ID " + std::to_string(item.cka_id) + ")"},
                {"  key check", item.key_check},
                {"  created", item.created},
                {"  activated", item.activated.empty() ? "-" : item.activated}});
}

Json versions_json(const std::vector<wire::VersionItem>& versions) {
  std::vector<std::string> items;
  for (const wire::VersionItem& item : versions) items.push_back(version_json(item).done());
  Json json;
  json.raw("keys", json_array(items));
  return json;
}

Result<std::vector<wire::VersionItem>> versions_to_destroy(client::Client& admin,
                                                           const KeyOptions& options) {
  TRY(std::vector<wire::VersionItem> versions, list_versions(admin, options.name));
  std::erase_if(versions, [&](const wire::VersionItem& item) {
    const bool wanted = options.version == 0 || item.version == options.version;
    return !wanted || item.state == name(VersionState::destroyed);
  });
  if (versions.empty())
    return fail(Code::denied, "there is no such version to destroy",
                options.name + "; see hsm-signerctl key list");
  if (versions.size() > 1)
    return fail(Code::usage, "the key has several versions: name one with --version",
                options.name + "; see hsm-signerctl key list");
  return versions;
}

}  // namespace

// Retired at the signer first: all workers forget it before it goes (PKCS #11 says nothing about
// handles of destroyed objects in use).
Result<void> destroy_version(Context& context, client::Client& admin, const wire::VersionItem& item,
                             const std::string& statement) {
  TRY(const TokenConfig token, context.token(item.token));
  // First of all: a key that cannot be destroyed now is not to be taken out of use.
  TRY(client::Client token_admin, context.token_admin(token));
  if (item.state != name(VersionState::retired))
    TRY_VOID(change_version(admin, wire::Type::forget_key, item.key, item.version, statement));
  const wire::ObjectRef ref{.label = key_label(item.key, item.version), .cka_id = item.cka_id};
  TRY_VOID(token_admin.call<wire::Done>(wire::Type::destroy, ref));
  return change_version(admin, wire::Type::destroyed_key, item.key, item.version, statement);
}

Result<std::vector<wire::VersionItem>> list_versions(client::Client& admin,
                                                     const std::string& key) {
  std::vector<wire::VersionItem> versions;
  for (;;) {
    const wire::ListVersions ask{.key = key, .offset = static_cast<std::uint32_t>(versions.size())};
    TRY(const wire::VersionList page, admin.call<wire::VersionList>(ask));
    versions.insert(versions.end(), page.versions.begin(), page.versions.end());
    if (page.versions.empty() || versions.size() >= page.total) return versions;
  }
}

Result<void> key_list(Context& context, const KeyOptions& options) {
  TRY(client::Client admin, context.admin());
  TRY(const std::vector<wire::VersionItem> versions, list_versions(admin, options.name));
  if (versions.empty() && !options.name.empty())
    return fail(Code::denied, "there is no such key", options.name);
  std::vector<std::vector<std::string>> rows{
      {"KEY", "VERSION", "STATE", "ENVIRONMENT", "API KEY", "ROLES", "NONCE", "TOKEN", "HEALTH"}};
  for (const wire::VersionItem& item : versions)
    rows.push_back({item.key, std::to_string(item.version), item.state, item.environment,
                    item.api_key_id, item.roles, item.nonce_form, item.token, item.health});
  context.answer(versions_json(versions), versions.empty() ? "no keys\n" : table(rows));
  return {};
}

Result<void> key_show(Context& context, const KeyOptions& options) {
  TRY(client::Client admin, context.admin());
  TRY(const std::vector<wire::VersionItem> versions, list_versions(admin, options.name));
  if (versions.empty()) return fail(Code::denied, "there is no such key", options.name);
  std::string text;
  for (const wire::VersionItem& item : versions) text += version_text(item);
  context.answer(versions_json(versions), text);
  return {};
}

Result<std::string> read_statement(const std::string& path) {
  if (path.empty()) return std::string{};
  return read_input(path, officers::kBundleLimit);
}

Result<void> key_activate(Context& context, const KeyOptions& options) {
  if (!is_name(options.name))
    return fail(Code::usage, "a key name must match [a-z0-9][a-z0-9._-]{0,31}");
  TRY(const std::string statement, read_statement(options.statement));
  TRY(client::Client admin, context.admin());
  TRY(std::vector<wire::VersionItem> versions, list_versions(admin, options.name));
  std::erase_if(versions, [&](const wire::VersionItem& item) {
    return options.version == 0 ? item.state != name(VersionState::staged)
                                : item.version != options.version;
  });
  if (versions.size() != 1)
    return fail(Code::usage, "name one staged version with --version",
                options.name + " has " + std::to_string(versions.size()) +
                    " such; see hsm-signerctl key list");
  const wire::VersionItem& item = versions.front();
  TRY_VOID(change_version(admin, wire::Type::activate_key, item.key, item.version, statement));
  Json json;
  json.text("key", item.key).number("version", item.version).text("state", "active");
  context.answer(json, key_label(item.key, item.version) + " is active\n");
  return {};
}

Result<void> key_destroy(Context& context, const KeyOptions& options) {
  if (!is_name(options.name))
    return fail(Code::usage, "a key name must match [a-z0-9][a-z0-9._-]{0,31}");
  TRY(const std::string statement, read_statement(options.statement));
  TRY(client::Client admin, context.admin());
  TRY(const std::vector<wire::VersionItem> versions, versions_to_destroy(admin, options));
  std::string labels;
  for (const wire::VersionItem& item : versions)
    labels.append(labels.empty() ? "" : ", ").append(key_label(item.key, item.version));
  if (!options.yes)
    TRY_VOID(confirm("Destroy " + labels + " in the token, for ever?", "nothing was destroyed"));
  std::vector<std::string> destroyed;
  for (const wire::VersionItem& item : versions) {
    TRY_VOID(destroy_version(context, admin, item, statement));
    Json json;
    json.text("key", item.key).number("version", item.version);
    destroyed.push_back(json.done());
  }
  Json json;
  json.raw("destroyed", json_array(destroyed));
  context.answer(json, "destroyed " + labels + "\n");
  return {};
}

}  // namespace hsm::ctl

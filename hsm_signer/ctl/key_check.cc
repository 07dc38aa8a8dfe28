// Compares registry and token, and mends what a cut-off import or destroy left behind.
#include <algorithm>
#include <set>

#include "hsm_signer/base/terms.h"
#include "hsm_signer/ctl/admin_call.h"
#include "hsm_signer/ctl/findings.h"
#include "hsm_signer/ctl/verbs.h"

namespace hsm::ctl {
namespace {

Result<std::vector<wire::ObjectItem>> list_objects(client::Client& token) {
  std::vector<wire::ObjectItem> objects;
  for (;;) {
    const wire::ListObjects ask{.offset = static_cast<std::uint32_t>(objects.size())};
    TRY(const wire::ObjectList page, token.call<wire::ObjectList>(ask));
    objects.insert(objects.end(), page.objects.begin(), page.objects.end());
    if (page.objects.empty() || objects.size() >= page.total) return objects;
  }
}

struct Looked {
  std::vector<TokenObjects> tokens;
  std::vector<std::string> unseen;  // Sentences about tokens that could not be looked into.
};

Result<Looked> look_into_tokens(Context& context) {
  TRY(const SignerConfig config, context.config());
  Looked looked;
  for (const TokenConfig& token : config.tokens) {
    auto connection = context.token_admin(token);
    auto objects = connection ? list_objects(*connection)
                              : Result<std::vector<wire::ObjectItem>>{fail(connection.error())};
    if (objects)
      looked.tokens.push_back({.token = token.name.value, .objects = *std::move(objects)});
    else
      looked.unseen.push_back("token \"" + token.name.value +
                              "\" could not be looked into: " + objects.error().sentence());
  }
  return looked;
}

// The registry with what a worker says of each version now.
Result<std::vector<wire::VersionItem>> checked_versions(client::Client& admin,
                                                        const std::string& key) {
  TRY(std::vector<wire::VersionItem> versions, list_versions(admin, key));
  const bool alive = std::any_of(versions.begin(), versions.end(), [](const auto& item) {
    return item.state != name(VersionState::destroyed);
  });
  if (!alive) return versions;
  TRY(const wire::VersionList checked,
      admin_call<wire::VersionList>(admin, wire::Type::check_keys, wire::CheckKeys{.key = key}));
  for (wire::VersionItem& item : versions) {
    const auto now = std::find_if(checked.versions.begin(), checked.versions.end(),
                                  [&](const wire::VersionItem& other) {
                                    return other.key == item.key && other.version == item.version;
                                  });
    if (now != checked.versions.end()) item = *now;
  }
  return versions;
}

Result<void> remove_version(client::Client& admin, const KeyFinding& finding) {
  if (finding.state != name(VersionState::retired))
    TRY_VOID(change_version(admin, wire::Type::forget_key, finding.key, finding.version));
  return change_version(admin, wire::Type::destroyed_key, finding.key, finding.version);
}

Result<void> destroy_object(Context& context, const KeyFinding& finding) {
  TRY(const TokenConfig token, context.token(finding.token));
  TRY(client::Client connection, context.token_admin(token));
  const wire::ObjectRef ref{.label = finding.label, .cka_id = finding.cka_id};
  TRY_VOID(connection.call<wire::Done>(wire::Type::destroy, ref));
  return {};
}

// What was done, in the past tense.
Result<std::string> mend(Context& context, client::Client& admin, const KeyFinding& finding) {
  switch (finding.mend) {
    case Mend::activate:
      TRY_VOID(change_version(admin, wire::Type::activate_key, finding.key, finding.version));
      return std::string{"activated"};
    case Mend::remove_version:
      TRY_VOID(remove_version(admin, finding));
      return std::string{"registered as destroyed"};
    case Mend::destroy_object:
      TRY_VOID(destroy_object(context, finding));
      return std::string{"destroyed in the token"};
    case Mend::none:
      break;
  }
  return std::string{};
}

struct Tally {
  std::string text;
  std::vector<std::string> items;
  std::size_t open = 0;
};

void report(Tally& tally, const KeyFinding& finding, const std::string& mended) {
  const bool open = !finding.fine() && mended.empty();
  if (open) ++tally.open;
  tally.text += finding.label + ": " + (finding.fine() ? "ok" : finding.sentence);
  if (!mended.empty()) tally.text += "; " + mended;
  if (open && finding.mend != Mend::none) tally.text += "; --mend puts it right";
  tally.text += "\n";
  Json json;
  json.text("label", finding.label)
      .text("token", finding.token)
      .text("state", finding.state)
      .boolean("ok", finding.fine())
      .text("finding", finding.sentence)
      .text("mended", mended);
  tally.items.push_back(json.done());
}

}  // namespace

Result<void> key_check(Context& context, const KeyOptions& options) {
  TRY(client::Client admin, context.admin());
  TRY(const std::vector<wire::VersionItem> versions, checked_versions(admin, options.name));
  TRY(const Looked looked, look_into_tokens(context));
  Tally tally;
  for (const KeyFinding& finding : compare(versions, looked.tokens, options.name)) {
    std::string mended;
    if (options.mend) {
      TRY(mended, mend(context, admin, finding));
    }
    report(tally, finding, mended);
  }
  std::vector<std::string> unseen;
  for (const std::string& sentence : looked.unseen) {
    tally.text += sentence + "\n";
    unseen.push_back(Json{}.text("sentence", sentence).done());
  }
  Json json;
  json.raw("keys", json_array(tally.items)).raw("unseen", json_array(unseen));
  context.answer(json, tally.text.empty() ? "no keys\n" : tally.text);
  if (tally.open == 0) return {};
  return fail(Code::verification_failed, "not all keys are as they should be",
              std::to_string(tally.open) + " of " + std::to_string(tally.items.size()));
}

}  // namespace hsm::ctl

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

// What a worker says now of each version that is not destroyed. The signer pages.
Result<std::vector<wire::VersionItem>> ask_workers(client::Client& admin, const std::string& key) {
  std::vector<wire::VersionItem> versions;
  for (;;) {
    const wire::CheckKeys ask{.key = key, .offset = static_cast<std::uint32_t>(versions.size())};
    TRY(const wire::VersionList page,
        admin_call<wire::VersionList>(admin, wire::Type::check_keys, ask));
    versions.insert(versions.end(), page.versions.begin(), page.versions.end());
    if (page.versions.empty() || versions.size() >= page.total) return versions;
  }
}

// The registry with what a worker says of each version now.
Result<std::vector<wire::VersionItem>> checked_versions(client::Client& admin,
                                                        const std::string& key) {
  TRY(std::vector<wire::VersionItem> versions, list_versions(admin, key));
  const bool alive = std::any_of(versions.begin(), versions.end(), [](const auto& item) {
    return item.state != name(VersionState::destroyed);
  });
  if (!alive) return versions;
  TRY(const std::vector<wire::VersionItem> checked, ask_workers(admin, key));
  for (wire::VersionItem& item : versions) {
    const auto now =
        std::find_if(checked.begin(), checked.end(), [&](const wire::VersionItem& other) {
          return other.key == item.key && other.version == item.version;
        });
    if (now != checked.end()) item = *now;
  }
  return versions;
}

Result<void> remove_version(client::Client& admin, const KeyFinding& finding) {
  if (finding.state != name(VersionState::retired))
    TRY_VOID(change_version(admin, wire::Type::forget_key, finding.key, finding.version));
  return change_version(admin, wire::Type::destroyed_key, finding.key, finding.version);
}

// The registry may have learnt of it since it was listed: it is asked once more, as late as can be.
// Empty when it has.
Result<std::string> destroy_object(Context& context, client::Client& admin,
                                   const KeyFinding& finding) {
  TRY(const TokenConfig token, context.token(finding.token));
  TRY(client::Client connection, context.token_admin(token));
  const wire::ObjectRef ref{.label = finding.label, .cka_id = finding.cka_id};
  TRY(const std::vector<wire::VersionItem> versions, list_versions(admin, finding.key));
  if (is_registered(versions, finding.token, {.label = ref.label, .cka_id = ref.cka_id}))
    return std::string{};
  TRY_VOID(connection.call<wire::Done>(wire::Type::destroy, ref));
  return std::string{"destroyed in the token"};
}

// The workers are asked once more, as late as can be. Empty when they no longer speak against it.
Result<std::string> destroy_half(Context& context, client::Client& admin,
                                 const KeyFinding& finding) {
  TRY(const std::vector<wire::VersionItem> versions, ask_workers(admin, finding.key));
  const auto still = std::find_if(versions.begin(), versions.end(), [&](const auto& item) {
    return item.version == finding.version && is_quarantined(item) &&
           item.state == name(VersionState::staged);
  });
  if (still == versions.end()) return std::string{};
  TRY_VOID(destroy_version(context, admin, *still));
  return std::string{"destroyed in the token, registered as destroyed"};
}

// What was done, in the past tense; empty: nothing. An object that nobody knows may be a key that
// an older state.db has forgotten: only --yes lets it go.
Result<std::string> mend(Context& context, client::Client& admin, const KeyFinding& finding,
                         bool yes) {
  switch (finding.mend) {
    case Mend::activate:
      TRY_VOID(change_version(admin, wire::Type::activate_key, finding.key, finding.version));
      return std::string{"activated"};
    case Mend::remove_version:
      TRY_VOID(remove_version(admin, finding));
      return std::string{"registered as destroyed"};
    case Mend::destroy_object:
      if (yes) return destroy_object(context, admin, finding);
      break;
    case Mend::destroy_half:
      if (yes) return destroy_half(context, admin, finding);
      break;
    case Mend::none:
      break;
  }
  return std::string{};
}

// What an open finding waits for.
std::string_view advice(Mend mend, bool yes) {
  if (mend == Mend::none) return {};
  if (mend == Mend::activate || mend == Mend::remove_version) return "; --mend puts it right";
  // With --yes only what came in between keeps it.
  if (yes && mend == Mend::destroy_half)
    return "; it has changed meanwhile, so it stays: check again";
  if (yes) return "; registered meanwhile, so it stays: check again";
  return "; --mend --yes destroys it, which cannot be undone";
}

struct Tally {
  std::string text;
  std::vector<std::string> items;
  std::size_t open = 0;
};

void report(Tally& tally, const KeyFinding& finding, const std::string& mended, bool yes) {
  const bool open = !finding.fine() && mended.empty();
  if (open) ++tally.open;
  tally.text += finding.label + ": " + (finding.fine() ? "ok" : finding.sentence);
  if (!mended.empty()) tally.text += "; " + mended;
  if (open) tally.text += advice(finding.mend, yes);
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
  if (options.yes && !options.mend) return fail(Code::usage, "--yes goes with --mend");
  TRY(client::Client admin, context.admin());
  // In this order: an import registers before it brings the object, so what is seen is known then.
  TRY(const Looked looked, look_into_tokens(context));
  TRY(const std::vector<wire::VersionItem> versions, checked_versions(admin, options.name));
  Tally tally;
  for (KeyFinding& finding : compare(versions, looked.tokens, options.name)) {
    Result<std::string> mended;
    if (options.mend) mended = mend(context, admin, finding, options.yes);
    // The others may well be mended.
    if (!mended) {
      finding.sentence += "; mending it failed: " + mended.error().sentence();
      finding.mend = Mend::none;
    }
    report(tally, finding, mended.value_or(std::string{}), options.yes);
  }
  if (tally.items.empty() && !options.name.empty())
    return fail(Code::denied, "there is no such key", options.name);
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

#include "hsm_signer/ctl/findings.h"

#include <algorithm>
#include <charconv>

#include "hsm_signer/base/ids.h"
#include "hsm_signer/base/terms.h"

namespace hsm::ctl {
namespace {

const TokenObjects* find_token(const std::vector<TokenObjects>& tokens, std::string_view name) {
  const auto found = std::find_if(tokens.begin(), tokens.end(),
                                  [&](const TokenObjects& token) { return token.token == name; });
  return found == tokens.end() ? nullptr : &*found;
}

bool holds(const TokenObjects& token, const wire::VersionItem& item) {
  const wire::ObjectItem wanted{.label = key_label(item.key, item.version), .cka_id = item.cka_id};
  return std::find(token.objects.begin(), token.objects.end(), wanted) != token.objects.end();
}

// What is wrong with a version, and how to put it right; `held` is unknown where nobody could look.
// A worker that has just used the key knows better than a list from before it was imported.
void judge(KeyFinding& finding, const wire::VersionItem& item, std::optional<bool> held) {
  const auto state = from_spelling(kVersionStates, finding.state);
  const bool well = item.health == "ok";
  if (well) held = true;
  if (state == VersionState::staged && well) {
    finding.sentence = "imported but not activated";
    finding.mend = Mend::activate;
  } else if (state == VersionState::staged && held == false) {
    finding.sentence = "registered, but the token does not hold it";
    finding.mend = Mend::remove_version;
  } else if (state == VersionState::staged && held == true && is_quarantined(item)) {
    finding.sentence = "imported by half: " + item.health;
    finding.mend = Mend::destroy_half;
  } else if (state == VersionState::retired && held == false) {
    finding.sentence = "gone from the token, but not registered as destroyed";
    finding.mend = Mend::remove_version;
  } else if (state == VersionState::retired && held == true) {
    finding.sentence = "retired, but still in the token; 'key destroy' removes it";
  } else if (held == false) {
    finding.sentence = "the token does not hold it";
  } else if (!well && state != VersionState::retired) {
    finding.sentence = item.health;
  }
}

KeyFinding registered(const wire::VersionItem& item, const std::vector<TokenObjects>& tokens) {
  KeyFinding finding{.key = item.key,
                     .version = item.version,
                     .label = key_label(item.key, item.version),
                     .token = item.token,
                     .cka_id = item.cka_id,
                     .state = item.state,
                     .sentence = {},
                     .mend = Mend::none};
  const TokenObjects* token = find_token(tokens, item.token);
  judge(finding, item, token == nullptr ? std::nullopt : std::optional<bool>{holds(*token, item)});
  return finding;
}

}  // namespace

bool is_quarantined(const wire::VersionItem& item) {
  return item.health.starts_with("quarantined: ");
}

bool is_registered(const std::vector<wire::VersionItem>& versions, const std::string& token,
                   const wire::ObjectItem& object) {
  return std::any_of(versions.begin(), versions.end(), [&](const wire::VersionItem& item) {
    return item.token == token && item.cka_id == object.cka_id &&
           key_label(item.key, item.version) == object.label &&
           item.state != name(VersionState::destroyed);
  });
}

std::optional<std::pair<std::string, std::uint32_t>> parse_label(std::string_view label) {
  const std::size_t dot = label.rfind(".v");
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view key = label.substr(0, dot);
  const std::string_view digits = label.substr(dot + 2);
  std::uint32_t version = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), version);
  if (error != std::errc{} || end != digits.end() || version == 0) return std::nullopt;
  if (!is_name(key) || key_label(key, version) != label) return std::nullopt;
  return std::pair{std::string{key}, version};
}

std::vector<KeyFinding> compare(const std::vector<wire::VersionItem>& versions,
                                const std::vector<TokenObjects>& tokens, const std::string& key) {
  std::vector<KeyFinding> findings;
  for (const wire::VersionItem& item : versions) {
    if (item.state != name(VersionState::destroyed)) findings.push_back(registered(item, tokens));
  }
  for (const TokenObjects& token : tokens) {
    for (const wire::ObjectItem& object : token.objects) {
      const auto label = parse_label(object.label);
      if (!label || (!key.empty() && label->first != key)) continue;
      if (is_registered(versions, token.token, object)) continue;
      findings.push_back({.key = label->first,
                          .version = label->second,
                          .label = object.label,
                          .token = token.token,
                          .cka_id = object.cka_id,
                          .state = {},
                          .sentence = "in the token, but not registered",
                          .mend = Mend::destroy_object});
    }
  }
  return findings;
}

}  // namespace hsm::ctl

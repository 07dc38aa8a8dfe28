// What registry and token say about each other, and what would put it right. No I/O.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hsm_signer/wire/admin.h"
#include "hsm_signer/wire/token.h"

namespace hsm::ctl {

enum class Mend {
  none,
  activate,        // Staged, and the token holds it: the import was cut off before its last step.
  remove_version,  // Staged or retired without an object: gives the version up.
  destroy_object,  // An object labelled NAME.vN that no version stands for. Cannot be undone.
  destroy_half,    // Staged, and what the token holds cannot be that key: both go. Never signed.
};

struct KeyFinding {
  std::string key;
  std::uint32_t version = 0;
  std::string label;
  std::string token;
  std::uint16_t cka_id = 0;
  std::string state;     // Empty: not registered.
  std::string sentence;  // Empty: as it should be.
  Mend mend = Mend::none;

  bool fine() const { return sentence.empty(); }
};

// The objects of one token; without them (the token host was not to be asked) only health counts.
struct TokenObjects {
  std::string token;
  std::vector<wire::ObjectItem> objects;
};

// "desk-a.trade.v3" → {"desk-a.trade", 3}; nothing for labels that no import gives.
std::optional<std::pair<std::string, std::uint32_t>> parse_label(std::string_view label);

// Whether the signer says of a version that the token has spoken against the key itself.
bool is_quarantined(const wire::VersionItem& item);

// Whether a version that is not destroyed stands for this object.
bool is_registered(const std::vector<wire::VersionItem>& versions, const std::string& token,
                   const wire::ObjectItem& object);

// `tokens` must have been looked into before `versions` were listed: registration comes before
// import, so every object that an import made has its version then.
// `versions`: as the signer's check answered for `key` (empty: all), destroyed ones included.
std::vector<KeyFinding> compare(const std::vector<wire::VersionItem>& versions,
                                const std::vector<TokenObjects>& tokens, const std::string& key);

}  // namespace hsm::ctl

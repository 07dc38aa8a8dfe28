// Names that may not be mixed up: comparing a KeyName with a ClientName does not compile.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace hsm {

template <class Tag>
struct Id {
  std::string value;
  bool operator==(const Id&) const = default;
  auto operator<=>(const Id&) const = default;
};

using KeyName = Id<struct KeyNameTag>;        // Logical: "desk-a.trade".
using ApiKeyId = Id<struct ApiKeyIdTag>;      // The exchange's: "account-…" or "master-…".
using ClientName = Id<struct ClientNameTag>;  // As the policy calls a caller.
using TokenName = Id<struct TokenNameTag>;    // A token as the configuration calls it.

// Key, token and client names: [a-z0-9][a-z0-9._-]{0,31}.
bool is_name(std::string_view text);
// What the exchange may use as an API key id: 1 to 64 of [A-Za-z0-9_-].
bool is_api_key_id(std::string_view text);
// The CKA_LABEL of a key version: "desk-a.trade.v3".
std::string key_label(std::string_view key_name, std::uint32_t version);

}  // namespace hsm

template <class Tag>
struct std::hash<hsm::Id<Tag>> {
  std::size_t operator()(const hsm::Id<Tag>& id) const noexcept {
    return std::hash<std::string>{}(id.value);
  }
};

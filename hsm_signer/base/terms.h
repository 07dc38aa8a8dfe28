// Words that several rooms share and that files and scripts spell exactly as here. No code behind
// them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace hsm {

// Which of the two exchanges a key belongs to.
enum class Environment : std::uint8_t { production, sandbox };
// Whether the API key sees one account, or all of the group and names one in `account`.
enum class Scope : std::uint8_t { account, master };
// staged: registered, secret not yet known to be in the token. active: signs. draining: signs
// nothing new, its last answers leave. retired: signs nothing. destroyed: gone from the token; its
// numbers are never given again.
enum class VersionState : std::uint8_t { staged, active, draining, retired, destroyed };
// When an answer may leave: its audit record handed to the kernel, or on disk.
enum class Durability : std::uint8_t { os, fsync };

template <class E>
using Spelling = std::pair<E, std::string_view>;

inline constexpr std::array kEnvironments{
    Spelling<Environment>{Environment::production, "production"},
    Spelling<Environment>{Environment::sandbox, "sandbox"}};
inline constexpr std::array kScopes{Spelling<Scope>{Scope::account, "account"},
                                    Spelling<Scope>{Scope::master, "master"}};
inline constexpr std::array kVersionStates{
    Spelling<VersionState>{VersionState::staged, "staged"},
    Spelling<VersionState>{VersionState::active, "active"},
    Spelling<VersionState>{VersionState::draining, "draining"},
    Spelling<VersionState>{VersionState::retired, "retired"},
    Spelling<VersionState>{VersionState::destroyed, "destroyed"}};
inline constexpr std::array kDurabilities{Spelling<Durability>{Durability::os, "os"},
                                          Spelling<Durability>{Durability::fsync, "fsync"}};

template <class Table, class E>
constexpr std::string_view spelled(const Table& table, E value) {
  for (const auto& [known, text] : table) {
    if (known == value) return text;
  }
  return {};
}
template <class Table>
constexpr auto from_spelling(const Table& table, std::string_view text)
    -> std::optional<typename Table::value_type::first_type> {
  for (const auto& [known, spelling] : table) {
    if (spelling == text) return known;
  }
  return std::nullopt;
}

constexpr std::string_view name(Environment value) { return spelled(kEnvironments, value); }
constexpr std::string_view name(Scope value) { return spelled(kScopes, value); }
constexpr std::string_view name(VersionState value) { return spelled(kVersionStates, value); }
constexpr std::string_view name(Durability value) { return spelled(kDurabilities, value); }

}  // namespace hsm

// Strict TOML (v1.0): every key is asked for by name and type, and what nobody asked for is
// refused. Errors are Code::usage and begin with file:line:column.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/base/result.h"

namespace hsm {

// A table of a parsed file. Cheap to move; keeps the whole file alive. Reading a key marks it as
// known; finish() refuses the first key that was not read, so call it when everything has been
// asked for.
class TomlTable {
 public:
  // Files over 1 MiB are refused.
  static Result<TomlTable> load(const std::string& path);
  // `name` stands for the file in errors. Keys and strings with control characters are refused.
  static Result<TomlTable> parse(std::string_view text, std::string name);

  TomlTable(TomlTable&&) noexcept;
  TomlTable& operator=(TomlTable&&) noexcept;
  ~TomlTable();

  bool has(std::string_view key) const;
  Result<std::string> text(std::string_view key);
  Result<std::string> text_or(std::string_view key, std::string fallback);
  Result<std::int64_t> integer(std::string_view key, std::int64_t least, std::int64_t most);
  Result<std::int64_t> integer_or(std::string_view key, std::int64_t fallback, std::int64_t least,
                                  std::int64_t most);
  Result<bool> boolean_or(std::string_view key, bool fallback);
  // An array of strings; absent = empty.
  Result<std::vector<std::string>> texts(std::string_view key);
  Result<std::optional<TomlTable>> table(std::string_view key);
  // An array of tables, [[key]] or inline; absent = empty.
  Result<std::vector<TomlTable>> tables(std::string_view key);
  // Every key in file order, for tables that are maps; marks nothing as known.
  std::vector<std::string> keys() const;

  Result<void> finish();

  // "policy.toml:12:3" of a key, or of the table where there is no such key.
  std::string where(std::string_view key = {}) const;
  // "where: what: detail" as Code::usage, for rules that TOML does not know.
  tl::unexpected<Error> refuse(std::string_view key, std::string_view what,
                               std::string detail = {}) const;

 private:
  struct Impl;
  explicit TomlTable(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace hsm

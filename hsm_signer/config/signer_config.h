// signer.toml: what hsm-signerd is told, and where hsm-signerctl finds everything.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/base/ids.h"
#include "hsm_signer/base/result.h"

namespace hsm {

struct TokenConfig {
  TokenName name;
  std::string socket;        // <token>.sock, where hsm-signerd connects.
  std::string admin_socket;  // <token>.admin.sock, where hsm-signerctl imports.
  std::string wrap_key;      // wrap-<token>.pub.pem, pinned by who wraps.
};

// [officers]: whose statements hsm-signerd takes, and how many of whom administration needs.
struct OfficersConfig {
  std::string file;  // allowed_officers
  std::string group;
  std::uint32_t need = 0;
};

struct SignerConfig {
  enum class Mode { production, development };

  std::string file;
  std::string file_sha256;  // Of the text as read; stands in the audit log's start record.
  Mode mode = Mode::production;
  std::string socket;
  std::string admin_socket;
  std::string state;                    // state.db
  std::string audit;                    // Directory.
  std::uint64_t audit_segment_bytes;    // Behind so many the log goes on in another file.
  std::uint64_t audit_reserve_bytes;    // Disk kept ready for cancels; 0: none.
  std::uint64_t audit_low_water_bytes;  // With less disk free it warns; 0: never.
  std::string audit_anchor;             // File elsewhere that keeps checkpoints too; empty: none.
  std::chrono::seconds audit_anchor_every{};
  std::string audit_key;  // audit.pub.pem
  std::string policy;
  std::vector<uid_t> admins;  // Who may use admin.sock. Default: the daemon's own uid.
  gid_t socket_group;         // Of the client socket; -1: unchanged.
  gid_t admin_group;
  std::chrono::milliseconds deadline;      // Of a request that names none.
  std::vector<TokenConfig> tokens;         // At least one.
  std::optional<OfficersConfig> officers;  // Absent: administrative statements are not demanded.

  // Relative paths are taken from the file's own directory. Errors: Code::usage with
  // file:line:column.
  static Result<SignerConfig> load(const std::string& path);
  static Result<SignerConfig> parse(std::string_view text, const std::string& path);

  const TokenConfig* token(std::string_view name) const;
};

// The uid of a user name or of decimal digits; refuses uid 65534, whom the kernel lends to anybody.
Result<uid_t> resolve_user(const std::string& name_or_number);
Result<gid_t> resolve_group(const std::string& name_or_number);

}  // namespace hsm

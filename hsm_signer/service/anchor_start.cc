#include "hsm_signer/service/anchor_start.h"

#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "hsm_signer/audit/checkpoint.h"
#include "hsm_signer/base/log.h"
#include "hsm_signer/service/past.h"

namespace hsm::service {
namespace {

using audit::AnchorFile;

// Of a mount that hangs.
constexpr std::chrono::seconds kAnchorPatience{10};
constexpr std::size_t kAuditKeyLimit = 16 * 1024;

Result<void> look_at_place(const SignerConfig& config) {
  struct stat log {
  }, anchor{};
  if (::stat(config.audit.c_str(), &log) != 0 ||
      ::stat(directory_of(config.audit_anchor).c_str(), &anchor) != 0)
    return {};
  if (log.st_dev != anchor.st_dev) return {};
  if (log.st_ino == anchor.st_ino)
    return fail(Code::usage, "the anchor lies in the audit directory", config.audit_anchor);
  hsm::log(Level::warning, "anchor_beside_log",
           config.audit_anchor +
               " is on the same device as the audit directory: what happens to one may happen to "
               "the other");
  return {};
}

Result<std::uint64_t> remembered(boost::asio::io_context& io, state::State& state,
                                 const std::string& path) {
  TRY(const Uint128 mark, wait_for_state<Uint128>(io, [&](state::State::Done<Uint128> done) {
        state.raise(anchored_scope(path), 0, std::move(done));
      }));
  return static_cast<std::uint64_t>(mark);
}

// Before the first start there is no key yet, and no note.
Result<void> check_signature(const SignerConfig& config, const std::string& note) {
  if (::access(config.audit_key.c_str(), R_OK) != 0) return {};
  TRY(const Bytes pem, read_file(config.audit_key, kAuditKeyLimit, Code::audit_unavailable));
  const auto opened = audit::open_note(note, as_text(pem));
  if (opened) return {};
  return fail(Code::audit_unavailable, "the anchor's last note is not sealed with the audit key",
              config.audit_anchor + ", " + config.audit_key + ": " + opened.error().sentence() +
                  "; bring both back as they were, or move the anchor away as evidence and put an "
                  "empty file in its place");
}

AnchorAtStart without(const Error& why) {
  hsm::log(Level::alert, "anchor_failed",
           why.sentence() +
               "; the log was not held against it. Signing goes on, and checkpoints go to this log "
               "alone until it is put right and hsm-signerd restarted");
  return {.file = nullptr, .problem = why.sentence(), .heads = {}};
}

}  // namespace

std::string anchored_scope(const std::string& path) {
  return "audit/anchored/" + hex_encode(sha256(as_bytes(path))).substr(0, 16);
}

Result<AnchorAtStart> open_anchor(boost::asio::io_context& io, state::State& state,
                                  const SignerConfig& config, bool log_is_lost) {
  const std::string& path = config.audit_anchor;
  if (path.empty()) return AnchorAtStart{};
  TRY_VOID(look_at_place(config));
  TRY(const std::uint64_t mark, remembered(io, state, path));
  const std::uint64_t known = log_is_lost ? 0 : mark;
  const auto absent = known == 0 ? AnchorFile::Absent::will_be_made : AnchorFile::Absent::is_gone;
  auto file = audit::Anchor::open(path, absent, kAnchorPatience);
  if (!file && file.error().code == Code::audit_unavailable) return without(file.error());
  if (!file) return fail(Code::audit_unavailable, file.error().what, file.error().detail);
  if ((*file)->size() < known)
    hsm::log(Level::alert, "anchor_cut",
             path + " covers " + std::to_string((*file)->size()) + " records, state.db remembers " +
                 std::to_string(known) + ": it was cut, or an earlier copy was put in its place");
  AnchorAtStart start;
  if (const std::string& note = (*file)->last_note(); !note.empty()) {
    TRY_VOID(check_signature(config, note));
    TRY(const CheckpointText text, audit::read_note_unverified(note));
    start.heads.push_back({.head = {.size = text.size, .root = text.root}, .where = path});
  }
  start.file = *std::move(file);
  return start;
}

}  // namespace hsm::service

// What a start finds of the anchor (audit/anchor.h), before it opens the log. An anchor that says
// something wrong refuses the start; one that says nothing (gone, unreadable, hanging) raises an
// alarm and lets it pass: it is there to guard the log, not to stop the desk.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <vector>

#include "hsm_signer/audit/anchor.h"
#include "hsm_signer/audit/log.h"
#include "hsm_signer/config/signer_config.h"
#include "hsm_signer/state/state.h"

namespace hsm::service {

struct AnchorAtStart {
  std::unique_ptr<audit::Anchor> file;  // Absent: none is configured, or it cannot be written to.
  std::string problem;                  // Of one that is configured.
  std::vector<audit::Anchored> heads;   // Which the log has to hold.
};

// Where state.db remembers how many records the anchor at this path covers.
std::string anchored_scope(const std::string& path);

// `log_is_lost`: as --audit-lost says; what the state remembers of an anchor does not count then.
// Errors: audit_unavailable, usage for a file in the audit directory, state_unavailable.
Result<AnchorAtStart> open_anchor(boost::asio::io_context& io, state::State& state,
                                  const SignerConfig& config, bool log_is_lost);

}  // namespace hsm::service

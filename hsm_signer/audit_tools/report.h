// A log as one page that an auditor can file: HTML without scripts, fonts, images or anything else
// from elsewhere.
#pragma once

#include <optional>
#include <string>

#include "hsm_signer/audit/verify.h"
#include "hsm_signer/audit_tools/tally.h"

namespace hsm::audit_tools {

struct Report {
  audit::Verified verified;     // Of the whole log.
  std::string key_fingerprint;  // Of the key it was verified with.
  std::string last_note;        // The log's last checkpoint; empty: it has none.
  Tally tally;                  // Of `span`.
  bool anchored = false;        // Compared with checkpoints that were kept elsewhere.
  std::string incomplete;       // Why the tally ends before the log does; empty: it does not.
  Span span;
  Clock::Wall made{};
};

// Verifies and counts. A log that does not verify, or cannot be read to its end, has a report that
// says so. As verify_directory() where there is no log or no key.
Result<Report> make_report(const std::string& directory, std::string_view public_key_pem,
                           const Span& span, Clock::Wall now, const std::string& anchor = {});
std::string report_html(const Report& report);

}  // namespace hsm::audit_tools

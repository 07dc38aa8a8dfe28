// A record in a few words, for people and for the journal.
#pragma once

#include <string>
#include <string_view>

#include "hsm_signer/audit/record.h"

namespace hsm::ctl {

// Besides kind, key, client and endpoint, which stand in columns of their own. May hold what the
// record's texts hold: make it printable.
std::string what_of(const audit::Record& record);

// Sends a line of the log to journald with fields to search by (HSM_SIGNER_SEQ, _KIND, _VERDICT,
// _KEY, _CLIENT, _ENDPOINT, _CODE, and _RECORD, the line itself). usage where journald is not here
// or does not take it. A line that is no record goes there as it is.
Result<void> send_to_journal(std::string_view line);

}  // namespace hsm::ctl

#include "hsm_signer/token/ledger.h"

namespace hsm::token {

void Ledger::record(std::string_view label, const Sha256& payload) {
  ++counter_;
  digest_ = usage_digest(digest_, counter_, payload, label);
}

}  // namespace hsm::token

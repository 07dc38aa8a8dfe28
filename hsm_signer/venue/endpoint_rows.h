// The data behind endpoints(); included by endpoints.cc only.
#pragma once

#include <span>

#include "hsm_signer/venue/endpoints.h"

namespace hsm::venue {

std::span<const Endpoint> endpoint_rows();

}  // namespace hsm::venue

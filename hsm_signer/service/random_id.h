// Names that nobody can guess, and names that are the same for the same thing.
#pragma once

#include <string>
#include <string_view>

namespace hsm::service {

// 24 hex digits from the kernel's random numbers.
std::string random_id();
// A UUID of version 4 (RFC 9562 section 5.4), random.
std::string random_uuid();
// The form of one, from SHA-256 of `text`: the same for the same text.
std::string uuid_of(std::string_view text);

}  // namespace hsm::service

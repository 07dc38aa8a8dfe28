// What is known of each kind of token: one table of data (measured; docs/architecture.md).
#pragma once

#include <p11-kit/pkcs11.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "hsm_signer/base/result.h"

namespace hsm::token {

// What the module needs beyond files and Unix sockets (token/confinement.h). A module whose needs
// were not measured has them all: what a driver of hardware calls is its own to know.
struct Needs {
  bool network = true;   // TCP, and what a resolver asks.
  bool hardware = true;  // ioctl(2), System V memory.
  bool new_code = true;  // Loads code after the login, too.
};

struct Profile {
  std::string_view name;
  bool supported;
  // Of an imported key, tried in this order.
  std::array<CK_KEY_TYPE, 2> key_types;
  std::uint32_t workers;  // Signing workers unless the file says otherwise.
  std::uint32_t most_workers;
  std::uint32_t depth;         // Frames that may wait inside one worker.
  std::uint32_t base64_limit;  // Of a message, bytes.
  bool unwrap_template;        // CKA_UNWRAP_TEMPLATE is stored and enforced.
  std::chrono::milliseconds call_limit;
  std::chrono::milliseconds
      restart_delay;  // After a worker died without C_Logout: its device session lives on.
  Needs needs = {};
};

// usage: a name that is not known, or known and not supported yet.
Result<const Profile*> find_profile(std::string_view name);

}  // namespace hsm::token

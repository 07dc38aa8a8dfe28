// What is known of each kind of token: one table of data (measured; docs/tokens.md).
#pragma once

#include <p11-kit/pkcs11.h>

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>

#include "hsm_signer/base/result.h"
#include "hsm_signer/token/remedy.h"

namespace hsm::token {

// How a wrapped secret becomes a key of the token (wrap_key.h).
enum class SecretWay : std::uint8_t {
  unwrapped_in_token,  // C_UnwrapKey: no process sees the secret.
  decrypted_in_host,   // By the admin worker's own RSA key, then C_CreateObject.
  linked,              // Not through us: made with the token's own tools, beside PKCS#11.
};

// What the module needs beyond files and Unix sockets (token/confinement.h). A module whose needs
// were not measured has them all: what a driver of hardware calls is its own to know.
struct Needs {
  bool network = true;   // TCP, and what a resolver asks.
  bool hardware = true;  // ioctl(2), System V memory.
  bool new_code = true;  // Loads code after the login, too.
};

struct Profile {
  std::string_view name;
  // Why no production key belongs in such a token; empty: none is known.
  std::string_view unfit;
  SecretWay way;
  std::span<const CK_KEY_TYPE> key_types;  // Of an imported key, tried in this order.
  bool unwrap_template;                    // CKA_UNWRAP_TEMPLATE is stored and enforced.
  std::span<const RemedyRule> exceptions;  // To the table of remedies that holds for every token.
  std::uint32_t workers;                   // Signing workers unless the file says otherwise.
  std::uint32_t most_workers;
  std::uint32_t depth;         // Frames that may wait inside one worker.
  std::uint32_t base64_limit;  // Of a message, bytes.
  std::uint32_t canary_every;  // A key check comes after so many signatures of a worker.
  std::chrono::milliseconds call_limit;
  // After a worker that died without C_Logout: its device session lives on.
  std::chrono::milliseconds restart_delay;
  Needs needs = {};
};

// usage: a name that is not known.
Result<const Profile*> find_profile(std::string_view name);

}  // namespace hsm::token

// A signature as scripts read it.
#pragma once

#include "hsm_signer/ctl/json.h"
#include "hsm_signer/wire/client.h"

namespace hsm::ctl {

inline Json signed_json(const wire::Signed& answer) {
  Json headers;
  headers.text("X-GEMINI-APIKEY", answer.api_key_id)
      .text("X-GEMINI-PAYLOAD", answer.payload_base64)
      .text("X-GEMINI-SIGNATURE", answer.signature);
  Json json;
  json.raw("headers", headers.done())
      .text("nonce", answer.nonce)
      .number("audit_seq", answer.audit_sequence)
      .text("key", answer.key)
      .number("version", answer.version);
  return json;
}

}  // namespace hsm::ctl

#include "hsm_signer/service/signing.h"

#include <utility>

#include "hsm_signer/base/hash.h"

namespace hsm::service {

Result<void> Signing::write(const std::string& text, const keystore::KeyVersion& version,
                            std::string statements, keystore::JobId id, Bytes& out) {
  payload_sha256 = hex_encode(sha256(as_bytes(text)));
  base64 = base64_encode(as_bytes(text));
  if (base64.size() > venue::kPayloadBase64Limit)
    return fail(Code::too_large, "the payload is over 8 KiB of base64");
  const ByteView message = as_bytes(base64);
  return wire::encode(
      out, id,
      wire::MacRequest{.label = version.label(),
                       .cka_id = version.cka_id,
                       .key_check = version.kcv,
                       .message = Bytes{message.begin(), message.end()},
                       .statements = std::move(statements),
                       .production = version.environment == Environment::production});
}

wire::Signed Signing::answer(const keystore::KeyVersion& version,
                             const wire::MacAnswer& mac) const {
  return {.api_key_id = version.api_key_id.value,
          .payload_base64 = base64,
          .signature = hex_encode(mac.mac),
          .nonce = nonce,
          .audit_sequence = 0,
          .key = version.key.value,
          .version = version.version};
}

void Signing::allow(const wire::MacAnswer& mac, const wire::Signed& answer,
                    audit::Record& entry) const {
  entry.verdict = audit::Verdict::allow;
  entry.nonce = nonce;
  entry.worker = mac.worker_id;
  entry.worker_counter = mac.counter;
  entry.signature_sha256 = hex_encode(sha256(as_bytes(answer.signature)));
}

policy::KeyFacts facts_of(const keystore::KeyVersion& version) {
  return {.name = version.key.value,
          .environment = version.environment,
          .scope = version.scope,
          .roles = version.roles,
          .state = version.state};
}

audit::Record record_of(const Peer& who, const keystore::KeyVersion& version,
                        const venue::Endpoint& endpoint, Clock::Steady::duration waited) {
  audit::Record entry = audit::Record::sign(who.uid, who.gid, who.pid);
  entry.key = version.key.value;
  entry.version = version.version;
  entry.api_key_id = version.api_key_id.value;
  entry.endpoint = std::string{endpoint.path};
  entry.endpoint_class = std::string{venue::name(endpoint.cls)};
  entry.latency_us = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(waited).count());
  return entry;
}

}  // namespace hsm::service

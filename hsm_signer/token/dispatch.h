// Who may ask what: operation × socket. Pure: frames in, frames out.
#pragma once

#include <optional>
#include <string>

#include "hsm_signer/base/os.h"
#include "hsm_signer/token/approvals.h"
#include "hsm_signer/token/canaries.h"
#include "hsm_signer/token/ceiling.h"
#include "hsm_signer/token/last_words.h"
#include "hsm_signer/token/ledger.h"
#include "hsm_signer/token/profile.h"
#include "hsm_signer/token/rates.h"
#include "hsm_signer/token/vault.h"
#include "hsm_signer/wire/frame.h"
#include "hsm_signer/wire/token.h"

namespace hsm::token {

// The socket a connection came through is its role; there is no other.
enum class Role : std::uint8_t { signing, admin };

// The token host's own key pairs, behind an interface for tests.
class ServiceKeys {
 public:
  virtual ~ServiceKeys() = default;
  // ECDSA P-256 over SHA-256, DER.
  virtual Result<Bytes> sign(ByteView text) = 0;
  // Makes what is missing.
  virtual Result<void> ensure() = 0;
};

// What a dispatcher works with; all of it outlives the dispatcher.
struct Host {
  Role role;
  Vault& vault;
  ServiceKeys& service_keys;
  const Profile& profile;
  bool accept_unfit_token;
  const Ceilings& ceilings;
  Approvals& approvals;
  Rates& rates;
  LastWords& last_words;
  const Clock& clock;
  wire::Info info;  // worker_id is the ledger's too.
};

class Dispatcher {
 public:
  explicit Dispatcher(Host host)
      : host_{std::move(host)},
        ledger_{host_.info.worker_id},
        canaries_{host_.profile.canary_every} {}

  // Appends the answer to one frame. An error means: close the connection (no hello first, an
  // operation that this socket does not have, a message that does not decode). A refused or failed
  // request is an answer.
  Result<void> answer(const wire::FrameView& frame, Bytes& out);

  // Whether the hello has come.
  bool greeted() const { return greeted_; }
  Role role() const { return host_.role; }

  // What this worker has come to.
  enum class Health : std::uint8_t {
    sound,
    lost_login,   // Only a fresh process mends it; the token can still be told goodbye.
    lost_module,  // Only a fresh process mends it.
    wrong_macs,   // The token signs wrongly: nobody may ask it any more.
    spent,        // A secret was decrypted here; freed memory may still hold it.
  };
  Health health() const { return health_; }
  // Why it is not sound.
  const std::string& complaint() const { return complaint_; }
  bool wants_replacement() const { return health_ != Health::sound; }
  // Keeps what it has signed in all for a signer that comes later: this one may not have heard of
  // the last of it. Once, when the connection has ended.
  Result<void> say_last_words();
  // Whether the token has signed for it.
  bool has_signed() const { return ledger_.counter() > 0; }

 private:
  struct Handler {
    wire::Type type;
    Role role;
    Result<void> (Dispatcher::*answer)(const wire::FrameView&, Bytes&);
  };
  static const Handler* handler_for(wire::Type type, Role role);

  Result<void> greet(const wire::FrameView& frame, Bytes& out);
  Result<void> info(const wire::FrameView& frame, Bytes& out);
  Result<void> mac(const wire::FrameView& frame, Bytes& out);
  Result<void> list(const wire::FrameView& frame, Bytes& out);
  Result<void> key_check(const wire::FrameView& frame, Bytes& out);
  Result<void> forget(const wire::FrameView& frame, Bytes& out);
  Result<void> sign_checkpoint(const wire::FrameView& frame, Bytes& out);
  Result<void> usage(const wire::FrameView& frame, Bytes& out);
  Result<void> import(const wire::FrameView& frame, Bytes& out);
  Result<void> destroy(const wire::FrameView& frame, Bytes& out);
  Result<void> generate(const wire::FrameView& frame, Bytes& out);
  Result<void> wrap_key(const wire::FrameView& frame, Bytes& out);

  Result<wire::MacAnswer> judged_mac(const wire::MacRequest& request);
  Result<void> is_ceiling_of(const std::string& label, const Ceiling& ceiling,
                             bool production) const;
  Result<void> is_fit_for(const Ceiling& ceiling) const;
  Result<std::optional<officers::Stated>> stated(const wire::MacRequest& request,
                                                 const Ceiling& ceiling,
                                                 const std::optional<Demanded>& demanded) const;
  Result<void> spend(const std::optional<officers::Stated>& stated, const std::string& label);
  Result<void> canary(const KeyRef& key);
  void turn(Health health, std::string complaint);
  Result<wire::CheckpointSignature> judged_checkpoint(const std::string& text);
  Result<wire::SignedUsage> signed_usage();
  template <class Message>
  Result<void> reply(const wire::FrameView& frame, const Result<Message>& result, Bytes& out);
  Result<void> refuse(const wire::FrameView& frame, const Error& error, Bytes& out);

  Host host_;
  Ledger ledger_;
  Canaries canaries_;
  bool greeted_ = false;
  Health health_ = Health::sound;
  std::string complaint_;
};

}  // namespace hsm::token

#include "hsm_signer/service/sealer.h"

#include <utility>

#include "hsm_signer/audit/checkpoint.h"
#include "hsm_signer/base/checkpoint_text.h"
#include "hsm_signer/base/log.h"
#include "hsm_signer/service/question.h"

namespace hsm::service {
namespace {

constexpr std::chrono::seconds kEvery{1};
constexpr std::chrono::seconds kDeadline{10};
constexpr keystore::KeyIndex kCheckpointKey = 0xFFFF'FFFF;  // No API key's.
constexpr std::size_t kPemLimit = 16 * 1024;

// Origins are to be unique to a log (C2SP tlog-checkpoint); the token's audit key is unique to it.
std::string origin_of(ByteView spki) {
  return "hsm-signer/audit/" + hex_encode(sha256(spki)).substr(0, 16);
}

}  // namespace

Sealer::Sealer(boost::asio::io_context& io, const Clock& clock, Ledger& ledger,
               keystore::TokenPool& pool, TokenDesk& tokens, AnchorDesk& anchors,
               std::string audit_key, Remember remember)
    : clock_{clock},
      ledger_{ledger},
      pool_{pool},
      tokens_{tokens},
      anchors_{anchors},
      audit_key_path_{std::move(audit_key)},
      remember_{std::move(remember)},
      timer_{io} {}

void Sealer::start() { tick(); }

void Sealer::stop() { timer_.cancel(); }

void Sealer::tick() {
  timer_.expires_after(kEvery);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    if (!sealing_ && (ledger_.size() > sealed_ || to_remember_ != 0)) seal();
    anchors_.tick();
    tick();
  });
}

void Sealer::seal_now(std::function<void()> done) {
  ledger_.flush();
  if (!sealing_ && ledger_.size() <= sealed_) return done();
  waiting_.push_back(std::move(done));
  // One under way covers what was there when it began: who asks now waits for the next.
  if (!sealing_) seal();
}

void Sealer::seal() {
  sealing_ = true;
  served_ = std::exchange(waiting_, {});
  // A state that is more than one seal behind is an old copy (service/past.h): it hears of each
  // before the next is made.
  remember([this] {
    // What the workers say of all that they signed is sealed with its records.
    tokens_.collect([this] { seal_head(); });
  });
}

void Sealer::seal_head() {
  // Only what is on disk is sealed: after a power cut the log would be shorter than its own
  // checkpoint.
  ledger_.flush();
  const audit::Head head = ledger_.head();
  ledger_.when_durable([this, head](const Result<void>& durable) {
    if (!durable) return finish(durable);
    ask_token(head);
  });
}

Result<keystore::TokenIndex> Sealer::pinned_token() {
  if (spki_.empty()) {
    TRY(const Bytes pem, read_file(audit_key_path_, kPemLimit, Code::audit_unavailable));
    TRY(const audit::AuditKey key, audit::AuditKey::from_pem(as_text(pem)));
    spki_ = key.spki();
  }
  for (keystore::TokenIndex token = 0; token < pool_.size(); ++token) {
    const auto& health = pool_.health(token);
    if (health.workers > 0 && health.info && health.info->audit_key == spki_) return token;
  }
  return fail(Code::token_unavailable, "no token with the key of this file is up", audit_key_path_);
}

void Sealer::ask_token(const audit::Head& head) {
  const Result<keystore::TokenIndex> token = pinned_token();
  if (!token) return finish(fail(token.error()));
  const std::string text = checkpoint_text(origin_of(spki_), head.size, head.root);
  auto question = std::make_unique<Question>(
      [text](keystore::JobId id, Bytes& out) {
        return wire::encode(out, id, wire::SignCheckpoint{.text = text});
      },
      [this, text, size = head.size](Result<wire::FrameView> frame) {
        Result<std::string> note = signed_by_token(text, std::move(frame));
        if (!note) return finish(fail(std::move(note).error()));
        sealed(size, *std::move(note));
      });
  pool_.submit(std::move(question), {.id = 0,
                                     .key = kCheckpointKey,
                                     .client = keystore::kNoClient,
                                     .token = *token,
                                     .urgency = keystore::Urgency::checkpoint,
                                     .deadline = clock_.steady() + kDeadline,
                                     .in_order = false});
}

Result<std::string> Sealer::signed_by_token(const std::string& text,
                                            Result<wire::FrameView> frame) {
  if (!frame) return fail(frame.error());
  TRY(const auto answer, wire::decode<wire::CheckpointSignature>(*frame));
  std::string note = audit::seal(text, origin_of(spki_), spki_, answer.signature);
  TRY(const audit::AuditKey key, audit::AuditKey::from_spki(spki_));
  TRY_VOID(audit::open_note(note, key));
  TRY_VOID(ledger_.add_checkpoint(note));
  return note;
}

// A stop waits for this too: a state that never heard of the last seal would let a log without it
// pass at the next start.
void Sealer::sealed(std::uint64_t size, std::string note) {
  ledger_.when_durable([this, size, note = std::move(note)](const Result<void>& durable) {
    if (!durable) return finish(durable);
    tokens_.kept();
    to_remember_ = size;
    to_anchor_ = note;
    remember([this] { finish({}); });
  });
}

void Sealer::remember(std::function<void()> next) {
  if (to_remember_ == 0) return next();
  remember_(to_remember_, [this, next = std::move(next)](const Result<void>& kept) {
    if (!kept) return finish(kept);  // The next tick tries again.
    sealed_ = std::exchange(to_remember_, 0);
    anchors_.sealed(std::move(to_anchor_), sealed_);
    next();
  });
}

void Sealer::finish(const Result<void>& sealed) {
  sealing_ = false;
  // Once, not each second.
  if (!sealed && !std::exchange(complained_, true))
    log(Level::warning, "not_sealed", sealed.error().sentence());
  if (sealed && std::exchange(complained_, false)) log(Level::notice, "sealed_again");
  for (const auto& done : std::exchange(served_, {})) done();
  if (!waiting_.empty() && !sealing_) seal();
}

}  // namespace hsm::service

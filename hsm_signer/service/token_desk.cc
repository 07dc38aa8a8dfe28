#include "hsm_signer/service/token_desk.h"

#include <algorithm>
#include <utility>

#include "hsm_signer/base/log.h"
#include "hsm_signer/base/usage_text.h"

namespace hsm::service {
namespace {

// A worker that takes longer is asked again at the next seal.
constexpr std::chrono::seconds kPatience{2};
constexpr std::size_t kDetailLimit = 512;

// What a token host says of itself may be anything.
std::string printable(std::string text) {
  text.resize(std::min(text.size(), kDetailLimit));
  return audit::is_printable(text) ? text : "(not printable)";
}

}  // namespace

TokenDesk::TokenDesk(Ledger& ledger, keystore::TokenPool& pool)
    : ledger_{ledger}, pool_{pool}, tokens_(pool.size()) {
  pool_.watch(*this);
}

void TokenDesk::event(keystore::TokenIndex token, std::string_view what, std::uint64_t worker,
                      std::string_view detail) {
  ledger_.event(
      audit::Record::token_event(pool_.name(token), what, worker, printable(std::string{detail})));
}

void TokenDesk::worker_came(keystore::TokenIndex token, const wire::Info& info) {
  // It can tell the last words of those before it.
  tokens_[token].ask_all = true;
  if (pool_.health(token).workers == 1) event(token, "up", 0, {});
  event(token, "worker_up", info.worker_id,
        info.profile + ", hsm-tokend " + info.software +
            (info.binary_sha256.empty() ? "" : ", SHA-256 " + hex_encode(info.binary_sha256)));
}

void TokenDesk::worker_went(keystore::TokenIndex token, std::uint64_t worker_id,
                            std::size_t in_flight, const Error& why) {
  if (auto gap = ledger_.counts().lost(worker_id, in_flight)) ledger_.event(*std::move(gap));
  event(token, "worker_lost", worker_id, why.sentence());
  if (pool_.health(token).workers == 0) event(token, "down", 0, why.sentence());
}

void TokenDesk::collect(std::function<void()> done) {
  // One more than was asked, so that nothing is done before all have been.
  struct Open {
    std::size_t count = 1;
    std::function<void()> done;
  };
  const auto open = std::make_shared<Open>(Open{.done = std::move(done)});
  const auto one_less = [open] {
    if (--open->count == 0) open->done();
  };
  for (keystore::TokenIndex token = 0; token < tokens_.size(); ++token) {
    Token& state = tokens_[token];
    using Ask = keystore::TokenPool::Ask;
    const std::size_t asked = pool_.ask_usage(
        token, state.ask_all ? Ask::all : Ask::those_that_signed, {.recorded = state.kept},
        kPatience, [this, token, open, one_less](const Result<wire::FrameView>& frame) {
          take(token, frame);
          one_less();
        });
    open->count += asked;
    if (asked == 0) continue;
    state.kept.clear();
    state.ask_all = true;  // Until kept().
  }
  one_less();
}

void TokenDesk::take(keystore::TokenIndex token, const Result<wire::FrameView>& frame) {
  const auto usage =
      frame ? wire::decode<wire::Usage>(*frame) : Result<wire::Usage>{fail(frame.error())};
  if (!usage) {
    tokens_[token].missed = true;
    return log_limited(Level::warning, "usage_not_told", usage.error().sentence());
  }
  record(token, usage->text, usage->signature);
  for (const wire::SignedUsage& ended : usage->ended) {
    const auto text = parse_usage_text(ended.text);
    if (!text) continue;
    record(token, ended.text, ended.signature);
    std::vector<wire::WorkerRef>& recorded = tokens_[token].recorded;
    const wire::WorkerRef worker{text->worker};
    if (std::ranges::find(recorded, worker) == recorded.end()) recorded.push_back(worker);
  }
}

void TokenDesk::record(keystore::TokenIndex token, const std::string& text, ByteView signature) {
  const auto usage = parse_usage_text(text);
  const auto& info = pool_.health(token).info;
  if (!usage || !info)
    return log_limited(Level::warning, "usage_not_told", "token " + pool_.name(token));
  for (audit::Record& record : ledger_.counts().said(*usage, info->audit_key, signature))
    ledger_.event(std::move(record));
}

void TokenDesk::kept() {
  for (Token& token : tokens_) {
    token.ask_all = std::exchange(token.missed, false);
    for (const wire::WorkerRef& worker : std::exchange(token.recorded, {}))
      token.kept.push_back(worker);
  }
}

}  // namespace hsm::service

// What tokens and their workers say of themselves goes into the audit log: that they came and went,
// and ahead of each seal how much they have signed.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "hsm_signer/keystore/token_pool.h"
#include "hsm_signer/service/ledger.h"

namespace hsm::service {

class TokenDesk final : public keystore::TokenPool::Watcher {
 public:
  // Both outlive this, and `pool` tells nobody else.
  TokenDesk(Ledger& ledger, keystore::TokenPool& pool);

  // Records the usage of every worker that has signed since it was asked; `done` once each has
  // answered, is gone, or has had its time.
  void collect(std::function<void()> done);
  // What collect() recorded is on disk: token hosts need not keep it. Without this the next
  // collect() asks everybody again.
  void kept();

 private:
  struct Token {
    bool ask_all = true;
    bool missed = false;  // Somebody did not say; asked again though he has not signed since.
    std::vector<wire::WorkerRef> recorded;  // Ended workers, since the last collect().
    std::vector<wire::WorkerRef> kept;      // The same, on disk.
  };
  void worker_came(keystore::TokenIndex token, const wire::Info& info) override;
  void worker_went(keystore::TokenIndex token, std::uint64_t worker_id, std::size_t in_flight,
                   const Error& why) override;
  void take(keystore::TokenIndex token, const Result<wire::FrameView>& frame);
  void record(keystore::TokenIndex token, const std::string& text, ByteView signature);
  void event(keystore::TokenIndex token, std::string_view what, std::uint64_t worker,
             std::string_view detail);

  Ledger& ledger_;
  keystore::TokenPool& pool_;
  std::vector<Token> tokens_;
};

}  // namespace hsm::service

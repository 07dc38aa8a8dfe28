// Seals the audit log: once a second while it grows, and at the stop, with a checkpoint signed in
// the token.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <string>
#include <vector>

#include "hsm_signer/keystore/token_pool.h"
#include "hsm_signer/service/ledger.h"

namespace hsm::service {

class Sealer {
 public:
  // `audit_key`: path of the pinned public key; a token with another key seals nothing. `remember`
  // is told how many records are sealed, once the checkpoint that says so is on disk.
  Sealer(boost::asio::io_context& io, const Clock& clock, Ledger& ledger, keystore::TokenPool& pool,
         std::string audit_key, std::function<void(std::uint64_t)> remember);

  void start();
  void stop();
  // Seals what is there, behind a seal under way; `done` runs whether or not that works.
  void seal_now(std::function<void()> done);

 private:
  void tick();
  void seal();
  void ask_token(const audit::Head& head);
  Result<void> signed_by_token(const std::string& text, Result<wire::FrameView> frame);
  void finish(const Result<void>& sealed);
  // The key of the first token that is up, pinned; SubjectPublicKeyInfo in DER.
  Result<keystore::TokenIndex> pinned_token();

  const Clock& clock_;
  Ledger& ledger_;
  keystore::TokenPool& pool_;
  std::string audit_key_path_;
  std::function<void(std::uint64_t)> remember_;
  boost::asio::steady_timer timer_;
  Bytes spki_;
  std::uint64_t sealed_ = 0;
  bool sealing_ = false;
  bool complained_ = false;
  std::vector<std::function<void()>> waiting_;
};

}  // namespace hsm::service

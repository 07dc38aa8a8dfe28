// Seals the audit log: once a second while it grows, and at the stop, with a checkpoint signed in
// the token.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <string>
#include <vector>

#include "hsm_signer/keystore/token_pool.h"
#include "hsm_signer/service/anchor_desk.h"
#include "hsm_signer/service/ledger.h"
#include "hsm_signer/service/token_desk.h"

namespace hsm::service {

class Sealer {
 public:
  using Done = std::function<void(Result<void>)>;
  // Keeps how many records are sealed where the log's owner cannot cut it off with the log; `done`
  // once that is durable.
  using Remember = std::function<void(std::uint64_t sealed, Done done)>;

  // `audit_key`: path of the pinned public key; a token with another key seals nothing. `remember`
  // is asked once the checkpoint is on disk, and belongs to the seal: only then is it over, and
  // only then is it anchored.
  Sealer(boost::asio::io_context& io, const Clock& clock, Ledger& ledger, keystore::TokenPool& pool,
         TokenDesk& tokens, AnchorDesk& anchors, std::string audit_key, Remember remember);

  void start();
  void stop();
  // Seals all that is there now, behind a seal under way; `done` runs whether or not that works.
  void seal_now(std::function<void()> done);

 private:
  void tick();
  void seal();
  void seal_head();
  void ask_token(const audit::Head& head);
  // The note, once it is in the log.
  Result<std::string> signed_by_token(const std::string& text, Result<wire::FrameView> frame);
  void sealed(std::uint64_t size, std::string note);
  void remember(std::function<void()> next);
  void finish(const Result<void>& sealed);
  // The key of the first token that is up, pinned; SubjectPublicKeyInfo in DER.
  Result<keystore::TokenIndex> pinned_token();

  const Clock& clock_;
  Ledger& ledger_;
  keystore::TokenPool& pool_;
  TokenDesk& tokens_;
  AnchorDesk& anchors_;
  std::string audit_key_path_;
  Remember remember_;
  boost::asio::steady_timer timer_;
  Bytes spki_;
  std::uint64_t sealed_ = 0;
  std::uint64_t to_remember_ = 0;  // Sealed on disk, and the state has not confirmed it.
  std::string to_anchor_;          // The note of that one.
  bool sealing_ = false;
  bool complained_ = false;
  std::vector<std::function<void()>> waiting_;  // For the next seal.
  std::vector<std::function<void()>> served_;   // By the one under way.
};

}  // namespace hsm::service

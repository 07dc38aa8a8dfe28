// Anchors checkpoints: the first after the start, then one each `audit_anchor_every` while the log
// grows, and the last at the stop. Each goes to the anchor's file, where there is one, and as one
// line to the process's log, from which the note can be made again (docs/audit.md): a journal that
// is sent elsewhere is an anchor too. Nobody who signs waits for any of it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <optional>
#include <string>

#include "hsm_signer/base/os.h"
#include "hsm_signer/service/anchor_start.h"

namespace hsm::service {

class AnchorDesk {
 public:
  struct Parts {
    boost::asio::io_context& io;
    const Clock& clock;
    std::chrono::seconds every;
    // How many records the anchor covers, to be kept where the anchor's owner cannot cut it off.
    std::function<void(std::uint64_t anchored)> remember;
  };

  AnchorDesk(Parts parts, AnchorAtStart start);

  // A checkpoint that is in the log, durably, and remembered.
  void sealed(std::string note, std::uint64_t size);
  // Now and then, a second apart: sends what has become due.
  void tick();
  // Sends the last one. `done` runs once that is written or has failed, and at the latest after a
  // few seconds: a mount that hangs does not hang the stop.
  void finish(std::function<void()> done);
  // Records that the anchor's file covers; nothing where none is configured, 0 where it is lost.
  std::optional<std::uint64_t> covered() const {
    if (!file_ && !is_lost_) return std::nullopt;
    return file_ ? covered_ : 0;
  }
  // How the anchor does, in words.
  std::string status() const;

 private:
  struct Note {
    std::string text;
    std::uint64_t size = 0;
  };

  void send();
  void written(std::uint64_t size, const Result<void>& written);
  void complain(const std::string& why);
  void end();

  Parts parts_;
  std::unique_ptr<audit::Anchor> file_;
  std::string trouble_;  // Empty: it works.
  bool is_lost_;         // For this run.
  std::uint64_t covered_ = 0;
  std::optional<Note> newest_;  // Not sent yet.
  std::optional<Note> sent_;    // The last one, until it is reported.
  std::optional<Clock::Steady> sent_at_;
  std::optional<Clock::Steady> unanswered_since_;
  std::uint64_t said_ = 0;  // In the process's log.
  std::function<void()> done_;
  boost::asio::steady_timer patience_;
};

}  // namespace hsm::service

// The audit log as the signer uses it: every decision goes in, and an answer comes out only when
// its record is where the durability asks for it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "hsm_signer/audit/log.h"
#include "hsm_signer/audit/record.h"
#include "hsm_signer/audit/syncer.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/base/terms.h"
#include "hsm_signer/service/mac_counts.h"
#include "hsm_signer/service/refusal_tally.h"
#include "hsm_signer/service/released.h"
#include "hsm_signer/venue/endpoints.h"

namespace hsm::service {

class Ledger {
 public:
  // Runs once: with the record's sequence when the answer may leave, or with audit_unavailable.
  using Release = std::function<void(Result<std::uint64_t>)>;
  using Durable = std::function<void(Result<void>)>;

  // `released` and `counts`: what the log held at the start.
  Ledger(boost::asio::io_context& io, const Clock& clock, audit::Log& log, Released released = {},
         MacCounts counts = {});

  // A MAC was made. `lane` (the nonce mark) keeps the answers of one API key in the order of their
  // nonces.
  void allow(audit::Record record, std::uint32_t lane, Release release);
  // A refusal; nobody waits for its record. Beyond a rate per uid, and while the log is low or
  // cannot be written, they are counted, so that no local user can fill the disk.
  void refuse(audit::Record record);
  void refuse(audit::Record record, const Error& why);
  void event(audit::Record record);

  // Writes down the refusals that were counted, one record for each uid; called each ten seconds
  // and, with `even_low`, at the stop, since what is not written then is lost. Where nothing can
  // be written they stay counted.
  enum class EvenLow : bool { no, yes };
  void tell_refusals(EvenLow even_low = EvenLow::no);

  // One write for everything since the last; called at the end of each turn.
  void flush();
  // Why nothing can be signed just now, or nothing.
  std::optional<Error> blocked() const;
  // Why nothing of this class can: that, or the log is low. What it has in reserve is for cancels,
  // and for the heartbeats of those who still have to; a poller would have used it up in minutes.
  std::optional<Error> closed_to(venue::Class cls);
  // Where the log is low, asks for space again, at most once a second.
  void look_for_space();

  std::uint64_t size() const { return log_.size(); }
  audit::Head head() const { return log_.head(); }
  // Runs `done` when everything written so far is on disk.
  void when_durable(Durable done);
  // What left, by API key.
  Released& released() { return released_; }
  const MacCounts& counts() const { return counts_; }
  // A note over a head that is durable.
  Result<void> add_checkpoint(std::string_view note);

 private:
  struct Waiting {
    std::uint64_t sequence;
    std::uint32_t lane;
    Durability durability;
    Release release;
    ApiKeyId api_key_id;
    Released::Item item;
  };
  struct Barrier {
    std::uint64_t size;
    Durable done;
  };
  struct Refused {
    uid_t uid;
    std::string code;
  };

  // False: it will never be in the log, which is logged.
  bool append(audit::Record record, std::optional<Waiting> waiting);
  void release(Waiting& waiting);
  void written(std::vector<Waiting> fresh);
  void durable(const Result<std::uint64_t>& up_to);
  void schedule_flush();
  bool probe_is_due();
  void say_whether_low();

  boost::asio::io_context& io_;
  const Clock& clock_;
  audit::Log& log_;
  Released released_;
  MacCounts counts_;
  std::vector<Waiting> fresh_;    // Appended, not yet written.
  std::deque<Waiting> unsynced_;  // Written, not yet durable, in order of sequence.
  std::unordered_map<std::uint32_t, std::size_t> unsynced_lanes_;
  std::vector<Barrier> barriers_;
  std::vector<Refused> fresh_refusals_;  // Appended, not yet written.
  RefusalTally tally_;
  std::optional<Error> trouble_;  // Of the last write.
  bool said_low_ = false;
  Clock::Steady looked_for_space_{};
  Clock::Steady probed_{};
  bool flush_scheduled_ = false;
  audit::Syncer syncer_;  // Last: its thread reports to the above.
};

}  // namespace hsm::service

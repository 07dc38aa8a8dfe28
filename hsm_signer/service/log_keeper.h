// What the audit log needs every ten seconds beside the signing: a look at its disk, another try to
// have its reserve, and the refusals that were only counted.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <string>

#include "hsm_signer/audit/log.h"
#include "hsm_signer/service/ledger.h"

namespace hsm::service {

class LogKeeper {
 public:
  // `low_water`: with fewer bytes free than this the disk is called filling; 0: never.
  LogKeeper(boost::asio::io_context& io, Ledger& ledger, const audit::Log& log,
            std::uint64_t low_water)
      : ledger_{ledger}, log_{log}, low_water_{low_water}, timer_{io} {}

  // At once, then every ten seconds.
  void start();
  void stop() { timer_.cancel(); }
  // One round.
  void look();
  // What somebody should do something about before it stops the signing, as it is now, in words;
  // empty: nothing.
  std::string warning();

 private:
  void look_at_disk();

  Ledger& ledger_;
  const audit::Log& log_;
  const std::uint64_t low_water_;
  boost::asio::steady_timer timer_;
  std::string filling_;
};

}  // namespace hsm::service

#include "hsm_signer/service/log_keeper.h"

#include <utility>

#include "hsm_signer/base/log.h"

namespace hsm::service {
namespace {

constexpr std::chrono::seconds kEvery{10};
// The warning ends where a bit more than the mark is free, so that it does not come and go.
constexpr std::uint64_t kSlack = 8;

std::string mib(std::uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

}  // namespace

void LogKeeper::start() {
  look();
  timer_.expires_after(kEvery);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) start();
  });
}

void LogKeeper::look() {
  ledger_.look_for_space();
  ledger_.tell_refusals();
  look_at_disk();
}

void LogKeeper::look_at_disk() {
  if (low_water_ == 0) return;
  const Result<std::uint64_t> free = log_.free_bytes();
  if (!free) return;  // Who cannot be asked is not known to be filling; a write will tell.
  if (*free < low_water_) {
    const bool told = !filling_.empty();
    filling_ = "the disk of the audit log has " + mib(*free) + " left, less than the " +
               mib(low_water_) + " of audit_low_water_bytes: make room, or nothing will be signed";
    if (!told) log(Level::warning, "audit_disk_filling", log_.directory() + ": " + filling_);
    return;
  }
  if (filling_.empty() || *free < low_water_ + low_water_ / kSlack) return;
  filling_.clear();
  log(Level::notice, "audit_disk_fine", log_.directory() + ": " + mib(*free) + " free");
}

std::string LogKeeper::warning() {
  look_at_disk();
  if (const auto low = log_.low()) return low->sentence();
  return filling_;
}

}  // namespace hsm::service

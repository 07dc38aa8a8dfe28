// Refusals that are not written one by one: of each uid a rate is, the rest is counted and told
// later, so that no local user can fill the disk and none of them is lost.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "hsm_signer/audit/record.h"
#include "hsm_signer/base/os.h"

namespace hsm::service {

class RefusalTally {
 public:
  // Stands for every uid beyond so many at a time. The kernel gives it to nobody.
  static constexpr uid_t kOthers = static_cast<uid_t>(-1);
  static constexpr std::size_t kMostUids = 1024;

  // Whether this refusal is within the rate of its uid, which it then uses.
  bool takes(uid_t uid, Clock::Steady now);
  void count(uid_t uid, std::string_view code, Clock::Wall now);
  // A record of kind refusals for each uid that has any, in the order of uids.
  std::vector<audit::Record> records() const;
  // Those are in the log.
  void told() { counted_.clear(); }

 private:
  struct Share {
    double tokens;
    Clock::Steady at;
  };
  struct Counted {
    std::uint64_t count = 0;
    Clock::Wall since{};
    std::map<std::string, std::uint64_t, std::less<>> codes;
  };

  Share& share_of(uid_t uid, Clock::Steady now);

  std::unordered_map<uid_t, Share> shares_;
  std::map<uid_t, Counted> counted_;
};

}  // namespace hsm::service

// Signatures that left: a released one is a bearer cheque until the exchange has seen a higher
// nonce, or, on a time-based key, for about a minute.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "hsm_signer/audit/record.h"
#include "hsm_signer/base/ids.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/nonce/form.h"

namespace hsm::service {

// As a panic's records spell it: one that no policy can name.
inline constexpr std::string_view kPanicClient = "(admin)";
using audit::kBurnEndpoint;
using audit::kPanicOp;

class Released {
 public:
  // Kept of each API key id.
  static constexpr std::size_t kKept = 256;
  // The exchange takes a time-based nonce 30 s before and behind its clock.
  static constexpr std::chrono::seconds kTimeBased{60};

  struct Item {
    std::uint64_t sequence = 0;  // Of its audit record.
    std::string endpoint;
    std::string nonce;
    Clock::Wall time{};
    bool operator==(const Item&) const = default;
  };
  struct Unspent {
    std::vector<Item> items;  // The newest, in the order of their leaving.
    std::uint64_t more = 0;   // Older ones that may be unspent too.
  };

  // The item of an allowed signature; the sequence is told later.
  static Item item_of(const audit::Record& record);
  void add(const ApiKeyId& id, Item item);
  // An answer that burns: what is released below its nonce is no longer listed. Whether the
  // exchange has seen it only the operator knows who sent it.
  void burnt(const ApiKeyId& id, std::string_view nonce);
  // At the start, of records that the log no longer has: so many of this API key may be unspent.
  void let_go(const ApiKeyId& id, std::uint64_t unspent) { keys_[id].dropped += unspent; }
  // From the log at the start, behind those. A record whose answer never left counts as released.
  void replay(const audit::Record& record);

  // What the exchange may still take. Incrementing keys: all above the last nonce burnt. signer-s:
  // the last minute. caller-s: both, since such a key may be of either kind.
  Unspent unspent(const ApiKeyId& id, nonce::Form form, Clock::Wall now) const;

 private:
  struct Key {
    std::deque<Item> items;
    std::uint64_t dropped = 0;  // Since the last burn.
    Uint128 burnt = 0;
  };
  std::unordered_map<ApiKeyId, Key> keys_;
};

}  // namespace hsm::service

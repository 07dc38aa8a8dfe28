// What state.db promises to the nonce book, in memory: it outlives the book, as a disk outlives a
// process.
#pragma once

#include <algorithm>
#include <map>
#include <string>

#include "hsm_signer/nonce/nonce.h"

namespace hsm::nonce {

class Durable {
 public:
  Reservation reserve(const ApiKeyId& id, Value at_least_last) {
    Value& mark = marks_[id.value];
    const Value before = mark;
    mark = std::max(mark, at_least_last);
    return {Value{before.units + 1}, mark, epoch_};
  }
  void settle(const Settlement& settlement) {
    if (settlement.epoch == epoch_) marks_[settlement.api_key_id.value] = settlement.mark;
  }
  void start() { ++epoch_; }
  Value mark(const ApiKeyId& id) { return marks_[id.value]; }

 private:
  std::map<std::string, Value> marks_;
  std::uint64_t epoch_ = 1;
};

}  // namespace hsm::nonce

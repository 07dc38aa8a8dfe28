#include "hsm_signer/service/released.h"

#include <utility>

namespace hsm::service {
namespace {

// A record of an allowed signature has a nonce that is one; another would be on the safe side.
Uint128 units(std::string_view nonce) { return audit::nonce_units(nonce).value_or(~Uint128{0}); }

}  // namespace

Released::Item Released::item_of(const audit::Record& record) {
  return {.sequence = record.seq,
          .endpoint = record.endpoint,
          .nonce = record.nonce,
          .time = record.time};
}

void Released::add(const ApiKeyId& id, Item item) {
  Key& key = keys_[id];
  key.items.push_back(std::move(item));
  if (key.items.size() <= kKept) return;
  if (units(key.items.front().nonce) > key.burnt) ++key.dropped;
  key.items.pop_front();
}

void Released::burnt(const ApiKeyId& id, std::string_view nonce) {
  Key& key = keys_[id];
  key.burnt = std::max(key.burnt, audit::nonce_units(nonce).value_or(0));
  key.dropped = 0;
}

void Released::replay(const audit::Record& record) {
  if (record.kind != audit::Kind::sign || record.verdict != audit::Verdict::allow) return;
  const ApiKeyId id{record.api_key_id};
  add(id, item_of(record));
  if (audit::burns(record)) burnt(id, record.nonce);
}

Released::Unspent Released::unspent(const ApiKeyId& id, nonce::Form form, Clock::Wall now) const {
  const auto found = keys_.find(id);
  if (found == keys_.end()) return {};
  const Key& key = found->second;
  const bool in_seconds = nonce::per_second(form) == 1;
  const bool incrementing = form != nonce::Form::signer_s;
  Unspent unspent{.items = {}, .more = incrementing ? key.dropped : 0};
  for (const Item& item : key.items) {
    const bool above = incrementing && units(item.nonce) > key.burnt;
    const bool fresh = in_seconds && now - item.time < kTimeBased;
    if (above || fresh) unspent.items.push_back(item);
  }
  return unspent;
}

}  // namespace hsm::service

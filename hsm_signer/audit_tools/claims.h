// What signed records can answer for: each order or movement of money that was signed here, once.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "hsm_signer/audit/record.h"
#include "hsm_signer/audit_tools/history.h"

namespace hsm::audit_tools {

struct Claim {
  std::uint64_t seq = 0;
  Clock::Wall time{};
  Event event = Event::order;  // Or transfer.
  std::string client_id;       // client_order_id and the like, where the record has it.
  bool can_name = false;       // Requests of its endpoint may carry such an id.
  std::string asset;
  std::string side;     // order
  std::string address;  // transfer; between accounts: the account's name; empty: to a bank.
  Decimal amount;
  std::optional<Decimal> price;  // Nothing: at the market's price.
  // What at the exchange it answers for; an index of Claims'.
  std::optional<std::size_t> taker{};
};

// What was traded of one order in all.
struct Traded {
  std::string client_id;
  std::string asset;
  std::string side;
  Decimal amount;
  Decimal lowest, highest;
  Clock::Wall first{};
};

// Nothing where the record signed no order and moved no money, or does not say enough.
std::optional<Claim> claim_of(const audit::Record& record);

// A matching of the exchange's items with the records that answer for them. Whatever was answered
// stays answered, and as many are as can be: an item goes unanswered only where no other sharing
// out of the records would have left one for it.
class Claims {
 public:
  explicit Claims(std::chrono::seconds skew) : skew_{skew} {}

  // In the order of the log; sort() before the rest.
  void add(Claim claim) { claims_.push_back(std::move(claim)); }
  void sort();

  // Matches the item to a claim of the same content, signed within the skew, where others can do
  // without it. Where the item has a client's id, the claim has the same, or its request could have
  // none. The item must outlive this.
  bool answer(const Item& item) { return answer(Taker{&item, nullptr}); }
  // The same for what was traded of one order in all: signed at any time before, for at least as
  // much, at a price that allows these.
  bool answer(const Traded& traded) { return answer(Taker{nullptr, &traded}); }

  // Why nothing answered for it, for people.
  std::string why_not(const Item& item) const;
  const std::vector<Claim>& all() const { return claims_; }

 private:
  using Places = std::vector<std::size_t>;
  struct Taker {  // One of the two.
    const Item* item;
    const Traded* traded;
  };
  struct Step;

  const Places& alike(const Item& item) const;
  const Places& market(const Traded& traded) const;
  std::span<const std::size_t> candidates(const Taker& taker) const;
  bool fits(const Claim& claim, const Taker& taker) const;
  bool answer(const Taker& taker);
  std::optional<std::size_t> find_free(const Taker& taker) const;
  bool make_room(std::size_t taker);
  void hand_down(const std::vector<Step>& path, std::size_t last, std::size_t claim);

  std::chrono::seconds skew_;
  std::vector<Claim> claims_;
  std::vector<Taker> takers_;
  std::vector<bool> seen_;  // By claim: no search through it finds a free one.
  std::unordered_map<std::string, Places> by_content_;    // In order of time.
  std::unordered_map<std::string, Places> by_client_id_;  // The same.
  std::unordered_map<std::string, Places> by_market_;     // Symbol and side; the same.
};

}  // namespace hsm::audit_tools

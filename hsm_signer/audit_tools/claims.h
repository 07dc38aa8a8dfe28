// What signed records can answer for: each order or movement of money that was signed here, once.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
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
  std::string asset;
  std::string side;     // order
  std::string address;  // transfer; empty: between accounts, or to a bank.
  Decimal amount;
  std::optional<Decimal> price;  // Nothing: at the market's price.
  bool used = false;             // Something at the exchange was matched to it.
};

// Nothing where the record signed no order and moved no money, or does not say enough.
std::optional<Claim> claim_of(const audit::Record& record);

class Claims {
 public:
  explicit Claims(std::chrono::seconds skew) : skew_{skew} {}

  // In the order of the log; sort() before the rest.
  void add(Claim claim) { claims_.push_back(std::move(claim)); }
  void sort();

  // Matches the item to a claim that is not used yet, of the same content, signed within the skew.
  // Where both have a client's id, those are equal.
  bool answer(const Item& item);
  // The same for what was traded of one order in all: signed at any time before, for at least as
  // much, at a price that allows these.
  struct Traded {
    std::string client_id;
    std::string asset;
    std::string side;
    Decimal amount;
    Decimal lowest, highest;
    Clock::Wall first{};
  };
  bool answer(const Traded& traded);

  // Why nothing answered for it, for people.
  std::string why_not(const Item& item) const;
  const std::vector<Claim>& all() const { return claims_; }

 private:
  using Places = std::vector<std::size_t>;
  const Places& alike(const Item& item) const;

  std::chrono::seconds skew_;
  std::vector<Claim> claims_;
  std::unordered_map<std::string, Places> by_content_;    // In order of time.
  std::unordered_map<std::string, Places> by_client_id_;  // The same.
  std::unordered_map<std::string, Places> by_market_;     // Symbol and side; the same.
};

}  // namespace hsm::audit_tools

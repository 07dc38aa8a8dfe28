// What the exchange keeps: accounts with their orders, money and addresses.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hsm_signer/sim/address_book.h"
#include "hsm_signer/sim/book.h"
#include "hsm_signer/sim/rate.h"
#include "hsm_signer/sim/setup.h"

namespace hsm::sim {

struct Withdrawal {
  std::string id;
  const Currency* currency = nullptr;
  std::string address;
  Money amount;
};

// Money that left an account or came to it, as the exchange's own history lists it.
struct Movement {
  enum class Way : std::uint8_t { withdrawal, to_account, from_account };

  std::uint64_t event = 0;
  Way way = Way::withdrawal;
  const Currency* currency = nullptr;
  Money amount;
  Clock::Wall time;
  std::string address{};        // Of a withdrawal.
  std::string withdrawal_id{};  // The same.
  std::string client_id{};      // As the client sent it, in lower case; may be empty.
};

struct DepositAddress {
  std::string network;
  std::string address;
  std::string label;
  Clock::Wall created;
};

struct Account {
  static constexpr std::size_t kMostWithdrawals = 100'000;
  static constexpr std::size_t kMostAddresses = 10'000;
  static constexpr std::size_t kMostMovements = 100'000;  // Beyond it the oldest are forgotten.

  std::string name;
  bool approved_list = true;
  Clock::Wall created;
  Book book;
  std::vector<Withdrawal> withdrawals;
  std::map<std::string, std::size_t> withdrawal_of;  // By the client's own id, in lower case.
  std::vector<DepositAddress> addresses;             // Oldest first.
  std::deque<Movement> movements;                    // Oldest first.
  RateGate addresses_gate;
  RateGate transfers_gate;
};

struct Transfer {
  std::string id;
  std::string from;
  std::string to;
  const Currency* currency = nullptr;
  Money amount;
};

class House {
 public:
  static constexpr std::size_t kMostTransfers = 100'000;

  House(const std::vector<AccountSetup>& accounts, const std::vector<Approved>& approved,
        Clock::Wall now);

  Account* find(std::string_view name);
  const std::vector<Account>& accounts() const { return accounts_; }
  std::vector<Account>& accounts() { return accounts_; }
  AddressBook& approved() { return approved_; }
  // By the client's own id, in lower case; those without one are only counted.
  std::map<std::string, Transfer>& transfers() { return transfers_; }

  // Orders and trades draw from one series, as on the exchange. Used up once it was given out.
  std::uint64_t next_number() const { return next_number_; }
  void use_number() { ++next_number_; }
  // Gives it its number.
  void record(Account& account, Movement movement);
  std::string next_uuid();  // Of version 4 in form, counted in truth.

 private:
  std::vector<Account> accounts_;  // Never more or fewer: others keep pointers to them.
  AddressBook approved_;
  std::map<std::string, Transfer> transfers_;
  std::uint64_t next_number_ = 106'817'811;  // The first of Gemini's documented examples.
  std::uint64_t next_event_ = 320'013'281;   // The same, of transfers.
  std::uint64_t next_uuid_ = 1;
};

}  // namespace hsm::sim

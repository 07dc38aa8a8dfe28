// A log and a history of the exchange that are held against each other.
#pragma once

#include "hsm_signer/audit_tools/reconcile.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit_tools {

using audit::Record;

inline constexpr Clock::Wall kDay{std::chrono::hours{24} * 20'500};

inline Decimal amount(const std::string& text) { return *Decimal::parse_plain(text); }

inline Record order(Clock::Wall time, const std::string& quantity, const std::string& price,
                    const std::string& client_id = {}) {
  Record record = audit::allow_record(1, 1);
  record.time = time;
  record.fields = {{"symbol", "btcusd"},
                   {"amount", quantity},
                   {"price", price},
                   {"side", "buy"},
                   {"type", "exchange limit"}};
  if (!client_id.empty()) record.fields.push_back({"client_order_id", client_id});
  return record;
}

inline Record withdrawal(Clock::Wall time, const std::string& quantity,
                         const std::string& address) {
  Record record = audit::allow_record(1, 1);
  record.time = time;
  record.endpoint = "/v2/withdraw/{network}/{ticker}";
  record.endpoint_class = "move";
  record.fields = {
      {"network", "bitcoin"}, {"ticker", "btc"}, {"address", address}, {"amount", quantity}};
  return record;
}

inline Item shown_order(const std::string& id, Clock::Wall time, const std::string& quantity,
                        const std::string& price, const std::string& client_id = {}) {
  Item item;
  item.event = Event::order;
  item.id = id;
  item.client_id = client_id;
  item.asset = "btcusd";
  item.side = "buy";
  item.amount = amount(quantity);
  item.price = amount(price);
  item.time = time;
  return item;
}

inline Item shown_transfer(const std::string& id, Clock::Wall time, const std::string& quantity,
                           const std::string& address, const std::string& type = "withdrawal") {
  Item item;
  item.event = Event::transfer;
  item.id = id;
  item.asset = "btc";
  item.side = type;
  item.address = address;
  item.amount = amount(quantity);
  item.time = time;
  return item;
}

inline Item shown_trade(const std::string& id, const std::string& of, Clock::Wall time,
                        const std::string& quantity, const std::string& price) {
  Item item = shown_order(id, time, quantity, price);
  item.event = Event::trade;
  item.order_id = of;
  return item;
}

class Reconciliation : public ::testing::Test {
 protected:
  // A start record first, an hour before the day.
  void write(const std::vector<Record>& records) {
    Record start = audit::start_record();
    start.time = kDay - std::chrono::hours{1};
    const auto log = audit::Log::open(directory_);
    ASSERT_THAT(log, Succeeds());
    audit::write_records(**log, {start});
    for (Record record : records) {
      record.nonce = std::to_string(++nonce_);
      record.worker_counter = nonce_;
      ASSERT_THAT((*log)->append(record), Succeeds());
    }
    ASSERT_THAT((*log)->flush(), Succeeds());
  }
  Reconciled compare(std::vector<Item> items, const ReconcileOptions& options = {}) const {
    auto done = reconcile(directory_, std::move(items), options);
    EXPECT_THAT(done, Succeeds());
    return done ? *std::move(done) : Reconciled{};
  }

  const TempDir dir_;
  const std::string directory_ = dir_ / "audit";
  std::uint64_t nonce_ = 0;
};

}  // namespace hsm::audit_tools

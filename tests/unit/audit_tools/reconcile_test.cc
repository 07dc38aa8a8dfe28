#include "hsm_signer/audit_tools/reconcile.h"

#include <random>

#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit_tools {
namespace {

using audit::Record;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr Clock::Wall kDay{std::chrono::hours{24} * 20'500};

Decimal amount(const std::string& text) { return *Decimal::parse_plain(text); }

Record order(Clock::Wall time, const std::string& quantity, const std::string& price,
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

Record withdrawal(Clock::Wall time, const std::string& quantity, const std::string& address) {
  Record record = audit::allow_record(1, 1);
  record.time = time;
  record.endpoint = "/v2/withdraw/{network}/{ticker}";
  record.endpoint_class = "move";
  record.fields = {
      {"network", "bitcoin"}, {"ticker", "btc"}, {"address", address}, {"amount", quantity}};
  return record;
}

Item shown_order(const std::string& id, Clock::Wall time, const std::string& quantity,
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

Item shown_transfer(const std::string& id, Clock::Wall time, const std::string& quantity,
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

Item shown_trade(const std::string& id, const std::string& of, Clock::Wall time,
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

// Ten thousand orders of a few forms, so that many look alike; the exchange's clock is 20 s ahead,
// the network adds up to 2 s.
struct Day {
  std::vector<Record> records;
  std::vector<Item> items;
};
Day clean_day(seconds skew) {
  Day day;
  std::mt19937 random{17};
  for (int i = 0; i < 10'000; ++i) {
    const Clock::Wall time = kDay + milliseconds{i * 7'000};
    const std::string price = std::to_string(30'000 + random() % 5);
    day.records.push_back(order(time, "0.5", price));
    day.items.push_back(shown_order(std::to_string(i), time + skew + milliseconds{random() % 2000},
                                    "0.50", price, "c" + std::to_string(i)));
  }
  for (int i = 0; i < 20; ++i) {
    const Clock::Wall time = kDay + std::chrono::hours{i};
    day.records.push_back(withdrawal(time, "1.5", "bc1q" + std::to_string(i)));
    day.items.push_back(
        shown_transfer(std::to_string(i), time + skew, "1.50", "bc1q" + std::to_string(i)));
    day.items.push_back(shown_transfer("d" + std::to_string(i), time, "3", "", "deposit"));
  }
  return day;
}

TEST_F(Reconciliation, RaisesNoAlarmOnACleanDayWithClocksTwentySecondsApart) {
  Day ahead = clean_day(seconds{20});
  write(ahead.records);
  const Reconciled done = compare(ahead.items);
  EXPECT_TRUE(done.ok()) << done.foreign.size();
  EXPECT_EQ(done.orders, 10'000U);
  EXPECT_EQ(done.matched, 10'020U);
  EXPECT_EQ(done.incoming, 20U);
  EXPECT_EQ(done.before_log, 0U);
  EXPECT_TRUE(compare(clean_day(seconds{-20}).items).ok());
}

TEST_F(Reconciliation, FindsOneForeignOrderAmongTenThousandAndAForeignWithdrawal) {
  Day day = clean_day(seconds{20});
  write(day.records);
  day.items.push_back(shown_order("foreign", kDay + std::chrono::hours{5}, "0.5", "30007"));
  day.items.push_back(
      shown_transfer("stolen", kDay + std::chrono::hours{6}, "1.5", "bc1qsomebodyelse"));
  const Reconciled done = compare(day.items);
  ASSERT_EQ(done.foreign.size(), 2U);
  EXPECT_EQ(done.foreign[0].item.id, "foreign");
  EXPECT_EQ(done.foreign[0].why, "nothing like it was signed here");
  EXPECT_EQ(done.foreign[1].item.id, "stolen");
  EXPECT_EQ(done.matched, 10'020U);
}

// One more than was signed, in every way alike.
TEST_F(Reconciliation, LetsARecordAnswerForOneItemOnly) {
  Day day = clean_day(seconds{0});
  write(day.records);
  Item twin = day.items[4'000];
  twin.id = "twin";
  day.items.push_back(twin);
  const Reconciled done = compare(day.items);
  ASSERT_EQ(done.foreign.size(), 1U);
  EXPECT_THAT(done.foreign[0].why, HasSubstr("one of them all is foreign"));
}

TEST_F(Reconciliation, TellsApartWhatDiffersInOneMember) {
  write({order(kDay, "0.5", "30000")});
  Item same = shown_order("1", kDay, "0.5", "30000");
  EXPECT_TRUE(compare({same}).ok());
  const auto foreign = [&](auto change) {
    Item other = same;
    change(other);
    return compare({other}).foreign.size();
  };
  EXPECT_EQ(foreign([](Item& item) { item.asset = "ethusd"; }), 1U);
  EXPECT_EQ(foreign([](Item& item) { item.side = "sell"; }), 1U);
  EXPECT_EQ(foreign([](Item& item) { item.amount = amount("0.51"); }), 1U);
  EXPECT_EQ(foreign([](Item& item) { item.price = amount("30001"); }), 1U);
  EXPECT_EQ(foreign([](Item& item) { item.price.reset(); }), 1U);
  EXPECT_EQ(foreign([](Item& item) { item.time += seconds{31}; }), 1U);
  EXPECT_EQ(foreign([](Item& item) { item.time -= seconds{31}; }), 1U);
  EXPECT_EQ(foreign([](Item& item) { item.event = Event::transfer; }), 1U);
  EXPECT_EQ(foreign([](Item& item) { item.time += seconds{30}; }), 0U);
}

TEST_F(Reconciliation, TellsApartWithdrawalsByCurrencyAmountAndAddress) {
  write({withdrawal(kDay, "1.5", "bc1qours")});
  EXPECT_TRUE(compare({shown_transfer("1", kDay, "1.50", "bc1qours")}).ok());
  EXPECT_TRUE(compare({shown_transfer("1", kDay, "1.5", "")}).ok());
  EXPECT_FALSE(compare({shown_transfer("1", kDay, "1.5", "bc1qtheirs")}).ok());
  EXPECT_FALSE(compare({shown_transfer("1", kDay, "1.6", "bc1qours")}).ok());
  Item other = shown_transfer("1", kDay, "1.5", "bc1qours");
  other.asset = "eth";
  EXPECT_FALSE(compare({other}).ok());
}

TEST_F(Reconciliation, JudgesTypesOfTransfersThatItDoesNotKnow) {
  write({});
  for (const char* type : {"withdrawal", "admindebit", "something new"})
    EXPECT_FALSE(compare({shown_transfer("1", kDay, "1", "", type)}).ok()) << type;
  for (const char* type : {"deposit", "reward", "admincredit"})
    EXPECT_TRUE(compare({shown_transfer("1", kDay, "1", "", type)}).ok()) << type;
}

TEST_F(Reconciliation, HoldsBothSidesToTheClientsIdWhereBothHaveIt) {
  write({order(kDay, "1", "100", "a"), order(kDay + seconds{1}, "1", "100", "b")});
  EXPECT_TRUE(
      compare({shown_order("1", kDay, "1", "100", "b"), shown_order("2", kDay, "1", "100", "a")})
          .ok());
  const Reconciled done = compare({shown_order("1", kDay, "1", "100", "c")});
  EXPECT_EQ(done.foreign.size(), 1U);
  const Reconciled reused = compare({shown_order("1", kDay, "2", "100", "a")});
  ASSERT_EQ(reused.foreign.size(), 1U);
  EXPECT_THAT(reused.foreign[0].why, HasSubstr("record 2 has its client's id"));
  // One without an id does not take the record of one that has it.
  EXPECT_TRUE(compare({shown_order("1", kDay, "1", "100"),
                       shown_order("2", kDay + seconds{2}, "1", "100", "a")})
                  .ok());
}

TEST_F(Reconciliation, SaysHowFarTheNearestRecordIs) {
  write({order(kDay, "1", "100")});
  const Reconciled done = compare({shown_order("1", kDay + seconds{95}, "1", "100")});
  ASSERT_EQ(done.foreign.size(), 1U);
  EXPECT_EQ(done.foreign[0].why, "the nearest like it, record 2, is 95 s away");
}

TEST_F(Reconciliation, CountsOnlyWhatWasSigned) {
  Record refused = audit::refuse_record();
  refused.time = kDay;
  refused.endpoint = "/v1/order/new";
  refused.fields = order(kDay, "1", "100").fields;
  Record read = order(kDay, "1", "100");
  read.endpoint = "/v1/margin/order/preview";
  write({refused, read});
  EXPECT_EQ(compare({shown_order("1", kDay, "1", "100")}).foreign.size(), 1U);
}

TEST_F(Reconciliation, CountsOnlyTheKeysAskedFor) {
  write({order(kDay, "1", "100")});
  const std::vector<Item> items{shown_order("1", kDay, "1", "100")};
  EXPECT_TRUE(compare(items, {.filter = {.key = "desk-a.trade"}}).ok());
  EXPECT_FALSE(compare(items, {.filter = {.key = "desk-b"}}).ok());
  EXPECT_TRUE(compare(items, {.filter = {.api_key_id = "account-AbC123"}}).ok());
  EXPECT_FALSE(compare(items, {.filter = {.api_key_id = "account-other"}}).ok());
}

TEST_F(Reconciliation, DoesNotJudgeWhatIsOlderThanTheLogOrOutsideOfTheTimeAskedFor) {
  write({order(kDay, "1", "100")});
  const Reconciled old = compare({shown_order("1", kDay - std::chrono::hours{2}, "1", "100")});
  EXPECT_TRUE(old.ok());
  EXPECT_EQ(old.before_log, 1U);
  ReconcileOptions options;
  options.filter.span.since = kDay + seconds{1};
  const Reconciled outside = compare({shown_order("1", kDay, "7", "100")}, options);
  EXPECT_TRUE(outside.ok());
  EXPECT_EQ(outside.outside, 1U);
}

TEST_F(Reconciliation, NotesWhatWasSignedAndDoesNotShow) {
  write({order(kDay, "1", "100"), order(kDay + seconds{60}, "2", "100"),
         order(kDay + seconds{120}, "3", "100"), order(kDay + seconds{600}, "4", "100"),
         withdrawal(kDay + seconds{60}, "1", "bc1q")});
  const Reconciled done = compare(
      {shown_order("1", kDay, "1", "100"), shown_order("3", kDay + seconds{120}, "3", "100")});
  EXPECT_TRUE(done.ok());
  ASSERT_EQ(done.unseen, 1U);
  EXPECT_EQ(done.unseen_records[0].seq, 3U);
}

TEST_F(Reconciliation, MatchesTradesToTheirOrderOrToOneThatCouldTradeSo) {
  write({order(kDay, "2", "100")});
  const Clock::Wall later = kDay + std::chrono::hours{30};
  // Their order is in the history.
  EXPECT_TRUE(
      compare({shown_order("o", kDay, "2", "100"), shown_trade("t", "o", later, "1", "99")}).ok());
  // It is not, but an order that rests could be it.
  EXPECT_TRUE(
      compare({shown_trade("t", "o", later, "1", "99"), shown_trade("u", "o", later, "1", "100")})
          .ok());
  // More than was signed, dearer, before it was signed, of two orders.
  EXPECT_FALSE(
      compare({shown_trade("t", "o", later, "1", "99"), shown_trade("u", "o", later, "1.1", "100")})
          .ok());
  EXPECT_FALSE(compare({shown_trade("t", "o", later, "1", "101")}).ok());
  EXPECT_FALSE(compare({shown_trade("t", "o", kDay - seconds{31}, "1", "100")}).ok());
  const Reconciled two =
      compare({shown_trade("t", "o", later, "1", "99"), shown_trade("u", "p", later, "1", "99")});
  ASSERT_EQ(two.foreign.size(), 1U);
  EXPECT_THAT(two.foreign[0].why, HasSubstr("no order was signed here"));
}

TEST_F(Reconciliation, MatchesOrdersAtTheMarketsPrice) {
  Record market = order(kDay, "1", "100");
  market.fields[4].value = "exchange market";
  Record instant = order(kDay, "3", "100");
  instant.endpoint = "/v1/instant/execute";
  instant.fields[1].name = "quantity";
  write({market, instant});
  Item item = shown_order("1", kDay, "1", "100");
  item.price.reset();
  Item second = item;
  second.id = "2";
  second.amount = amount("3");
  EXPECT_TRUE(compare({item, second}).ok());
  EXPECT_FALSE(compare({shown_order("1", kDay, "1", "100")}).ok());
}

TEST_F(Reconciliation, MatchesTransfersBetweenAccountsAndToBanks) {
  Record internal = withdrawal(kDay, "1", "");
  internal.endpoint = "/v1/account/transfer/{currency}";
  internal.fields = {
      {"currency", "BTC"}, {"sourceAccount", "a"}, {"targetAccount", "b"}, {"amount", "1"}};
  Record dollars = withdrawal(kDay, "100", "");
  dollars.endpoint = "/v1/withdraw/usd";
  dollars.fields = {{"amount", "100"}};
  write({internal, dollars});
  Item wire = shown_transfer("2", kDay, "100.00", "");
  wire.asset = "usd";
  EXPECT_TRUE(compare({shown_transfer("1", kDay, "1", ""), wire}).ok());
  // An address that nobody signed.
  EXPECT_FALSE(compare({shown_transfer("1", kDay, "1", "bc1q")}).ok());
}

TEST_F(Reconciliation, HasNothingToSayOfAnEmptyHistory) {
  write({order(kDay, "1", "100")});
  const Reconciled done = compare({});
  EXPECT_TRUE(done.ok());
  EXPECT_EQ(done.unseen, 0U);
}

TEST_F(Reconciliation, StopsAtALogThatIsDamaged) {
  write({order(kDay, "1", "100")});
  audit::spit(directory_ + "/audit-000001.jsonl", "{}\n");
  EXPECT_THAT(reconcile(directory_, {}, {}), ErrorIs(Code::verification_failed));
}

}  // namespace
}  // namespace hsm::audit_tools

#include "hsm_signer/audit_tools/reconcile.h"

#include <random>
#include <set>

#include "tests/unit/audit/let_go.h"
#include "tests/unit/audit_tools/reconciliation.h"

namespace hsm::audit_tools {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

TEST_F(Reconciliation, LetsARecordAnswerForOneItemOnly) {
  write({order(kDay, "1", "100"), order(kDay + seconds{1}, "1", "100")});
  std::vector<Item> items;
  for (const char* id : {"1", "2", "3"}) items.push_back(shown_order(id, kDay, "1", "100"));
  const Reconciled done = compare(items);
  ASSERT_EQ(done.foreign.size(), 1U);
  EXPECT_EQ(done.foreign[0].item.id, "3");
  EXPECT_EQ(done.foreign[0].why,
            "records like it (2 within the skew) answer for others that are alike, and one of them "
            "all is foreign");
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
  EXPECT_FALSE(compare({shown_order("1", kDay, "1", "100", "c")}).ok());
  const Reconciled reused = compare({shown_order("1", kDay, "2", "100", "a")});
  ASSERT_EQ(reused.foreign.size(), 1U);
  EXPECT_THAT(reused.foreign[0].why, HasSubstr("record 2 has its client's id"));
  // One without an id does not take the record of one that has it.
  EXPECT_TRUE(compare({shown_order("1", kDay, "1", "100"),
                       shown_order("2", kDay + seconds{2}, "1", "100", "a")})
                  .ok());
}

TEST_F(Reconciliation, DoesNotLetARecordWithoutAClientsIdAnswerForOneThatHasIt) {
  Record instant = order(kDay, "3", "100");
  instant.endpoint = "/v1/instant/execute";
  instant.fields[1].name = "quantity";
  write({order(kDay, "1", "100"), instant});
  EXPECT_FALSE(compare({shown_order("1", kDay, "1", "100", "a")}).ok());
  EXPECT_TRUE(compare({shown_order("1", kDay, "1", "100")}).ok());
  // Nobody can give an instant order one.
  Item bought = shown_order("1", kDay, "3", "100", "a");
  bought.price.reset();
  EXPECT_TRUE(compare({bought}).ok());
}

TEST_F(Reconciliation, ReadsTheClientsIdOfATransferInCapitalsAndInSmallLetters) {
  Record named = withdrawal(kDay, "1", "bc1q");
  named.fields.push_back({"clientTransferId", "AA97B177-9383-4934-8543-0F91A7A02838"});
  write({named});
  Item item = shown_transfer("1", kDay, "1", "bc1q");
  item.client_id = client_id_name(Event::transfer, "aa97B177-9383-4934-8543-0f91A7a02838");
  EXPECT_TRUE(compare({item}).ok());
  item.client_id = client_id_name(Event::transfer, "bb97b177-9383-4934-8543-0f91a7a02838");
  EXPECT_FALSE(compare({item}).ok());
}

// Of two for one record the one that says less is named, whichever came first.
TEST_F(Reconciliation, NamesTheItemThatSaysLess) {
  write({order(kDay, "1", "100", "a"), withdrawal(kDay, "1", "bc1q")});
  const Reconciled done = compare({shown_order("thief", kDay, "1", "100"),
                                   shown_order("ours", kDay + seconds{1}, "1", "100", "a"),
                                   shown_transfer("stolen", kDay, "1", ""),
                                   shown_transfer("sent", kDay + seconds{1}, "1", "bc1q")});
  ASSERT_EQ(done.foreign.size(), 2U);
  EXPECT_EQ(done.foreign[0].item.id, "thief");
  EXPECT_EQ(done.foreign[1].item.id, "stolen");
}

// The first is shown without its address (the exchange leaves it out at times), and must leave the
// second its record.
TEST_F(Reconciliation, GivesAnItemThatSaysMoreItsRecordFirst) {
  write({withdrawal(kDay, "1", "bc1qa"), withdrawal(kDay + seconds{1}, "1", "bc1qb")});
  EXPECT_TRUE(compare({shown_transfer("2", kDay + seconds{1}, "1", ""),
                       shown_transfer("1", kDay + seconds{2}, "1", "bc1qa")})
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

// The latest order that could have traded so is not always the one that has to be.
TEST_F(Reconciliation, SharesTheRecordsOutSoThatEachTradedOrderHasOne) {
  write({order(kDay, "1", "100"), order(kDay + seconds{10}, "2", "100")});
  const Clock::Wall later = kDay + std::chrono::hours{1};
  const Item small = shown_trade("t", "o", later, "1", "100");
  const Item large = shown_trade("u", "p", later + seconds{10}, "2", "100");
  EXPECT_TRUE(compare({small, large}).ok());
  // Neither an order of the history nor a third order can have it too.
  EXPECT_FALSE(compare({small, large, shown_order("q", kDay, "1", "100")}).ok());
  EXPECT_FALSE(compare({small, large, shown_trade("v", "r", later, "0.1", "100")}).ok());
}

TEST_F(Reconciliation, SaysTheTradesOfAForeignOrderWithTheOrder) {
  write({order(kDay, "2", "100")});
  const Reconciled done = compare(
      {shown_order("o", kDay, "2", "100"), shown_trade("t", "o", kDay, "2", "100"),
       shown_order("thief", kDay, "3", "100"), shown_trade("u", "thief", kDay, "3", "100")});
  ASSERT_EQ(done.foreign.size(), 1U);
  EXPECT_EQ(done.foreign[0].item.id, "thief");
  EXPECT_EQ(done.matched, 2U) << "the first order and its trade";
}

// An order from just before the time asked for must not leave its record to a foreign one.
TEST_F(Reconciliation, GivesWhatIsOutsideOfTheTimeAskedForItsRecordToo) {
  write({order(kDay, "1", "100")});
  ReconcileOptions options;
  options.filter.span.since = kDay + seconds{10};
  const Item before = shown_order("before", kDay + seconds{1}, "1", "100");
  const Item after = shown_order("after", kDay + seconds{11}, "1", "100");
  const Reconciled done = compare({before, after}, options);
  ASSERT_EQ(done.foreign.size(), 1U);
  EXPECT_EQ(done.foreign[0].item.id, "after");
  EXPECT_TRUE(compare({after}, options).ok());
  // A foreign order from before is not asked for, what it trades now is.
  const Item thiefs = shown_order("thief", kDay + seconds{1}, "5", "100");
  const Reconciled traded =
      compare({thiefs, shown_trade("t", "thief", kDay + seconds{12}, "5", "100")}, options);
  ASSERT_EQ(traded.foreign.size(), 1U);
  EXPECT_EQ(traded.foreign[0].item.id, "t");
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
  EXPECT_TRUE(compare({shown_transfer("1", kDay, "1", "b")}).ok()) << "the account it went to";
  // An address that nobody signed.
  EXPECT_FALSE(compare({shown_transfer("1", kDay, "1", "bc1q")}).ok());
}

// Whether `item` may be matched to a withdrawal signed at `time`, as docs/audit.md has it.
bool may_match(const Item& item, const Item& signed_one) {
  const auto apart =
      item.time < signed_one.time ? signed_one.time - item.time : item.time - signed_one.time;
  return item.amount == signed_one.amount && apart <= seconds{30} &&
         (item.address.empty() || item.address == signed_one.address) &&
         (item.client_id.empty() || item.client_id == signed_one.client_id);
}

// Every sharing out, tried.
std::size_t most_matched(const std::vector<Item>& items, std::size_t from,
                         const std::vector<Item>& records, std::vector<bool>& used) {
  if (from == items.size()) return 0;
  std::size_t best = most_matched(items, from + 1, records, used);
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (used[i] || !may_match(items[from], records[i])) continue;
    used[i] = true;
    best = std::max(best, 1 + most_matched(items, from + 1, records, used));
    used[i] = false;
  }
  return best;
}

TEST_F(Reconciliation, LeavesNoItemWithoutARecordThatAnotherSharingOutWouldGiveIt) {
  std::mt19937 random{5};
  const auto withdrawn = [&](int number, bool complete) {
    Item item = shown_transfer(std::to_string(number), kDay + seconds{random() % 90},
                               random() % 4 == 0 ? "2" : "1", "");
    if (complete || random() % 2 == 0) item.address = random() % 2 == 0 ? "bc1qa" : "bc1qb";
    if (complete || random() % 4 == 0) item.client_id = std::string(1, "uvw"[random() % 3]);
    return item;
  };
  for (int round = 0; round < 3'000; ++round) {
    Claims claims{seconds{30}};
    std::vector<Item> records;
    std::vector<Item> items;
    for (int i = 0; i < 6; ++i) {
      records.push_back(withdrawn(i, true));
      items.push_back(withdrawn(i, false));
      Record record =
          withdrawal(records.back().time, records.back().amount.text(), records.back().address);
      record.fields.push_back({"clientTransferId", records.back().client_id});
      claims.add(*claim_of(record));
    }
    claims.sort();
    std::size_t matched = 0;
    for (const Item& item : items) matched += claims.answer(item) ? 1 : 0;
    std::vector<bool> used(records.size());
    ASSERT_EQ(matched, most_matched(items, 0, records, used)) << "round " << round;
    // What each record answers for is one item, and one that it may answer for.
    std::set<std::size_t> takers;
    for (const Claim& claim : claims.all()) {
      if (!claim.taker) continue;
      EXPECT_TRUE(takers.insert(*claim.taker).second);
      Item as_signed = shown_transfer("", claim.time, claim.amount.text(), claim.address);
      as_signed.client_id = claim.client_id;
      EXPECT_TRUE(may_match(items[*claim.taker], as_signed));
    }
    EXPECT_EQ(takers.size(), matched);
  }
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

// The log begins with `first`; what was let go before that was signed at most the skew earlier.
TEST_F(Reconciliation, JudgesNothingThatARecordThatWasLetGoMayAnswerFor) {
  const auto log = audit::Log::open(directory_, {}, audit::unsynced(), audit::a_record_a_segment());
  ASSERT_THAT(log, Succeeds());
  const audit::TestKey key;
  audit::write_segments(**log, key, 4);
  ASSERT_THAT(audit::let_go(**log, audit::unsynced(), key, 3), Succeeds());
  const Clock::Wall first = audit::nth_time(4);
  const Reconciled done = compare({shown_order("1", first - seconds{20}, "7", "1"),
                                   shown_order("2", first + seconds{29}, "7", "1"),
                                   shown_order("3", first + seconds{31}, "7", "1"),
                                   shown_trade("4", "5", first + seconds{40}, "7", "1")});
  EXPECT_EQ(done.before_log, 2U);
  ASSERT_EQ(done.foreign.size(), 2U);
  EXPECT_EQ(done.foreign[0].item.id, "3");
  EXPECT_THAT(done.foreign[1].why, HasSubstr("unless it rested since before"));
}

}  // namespace
}  // namespace hsm::audit_tools

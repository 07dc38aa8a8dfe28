// The verb reconcile of `audit`.
#include "hsm_signer/base/duration.h"
#include "tests/unit/ctl/audit_log.h"

namespace hsm::ctl {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class AuditReconcile : public AuditVerbs {
 protected:
  AuditReconcile() {
    audit::Record order = audit::allow_record(1, 1);
    order.time = *parse_instant("2026-03-01T10:00:00Z");
    order.fields.push_back({"side", "buy"});
    order.fields.push_back({"type", "exchange limit"});
    order.fields.push_back({"client_order_id", "a"});
    audit::Record move = audit::allow_record(2, 2);
    move.time = *parse_instant("2026-03-01T11:00:00Z");
    move.endpoint = "/v2/withdraw/{network}/{ticker}";
    move.fields = {{"network", "bitcoin"}, {"ticker", "btc"}, {"address", "bc1q"}, {"amount", "2"}};
    write({order, move});
    write_text(orders, "[" + order_json("1", "30000") + "]");
    write_text(transfers, "[" + transfer_json("9", "bc1q") + "]");
  }
  static std::string order_json(const std::string& id, const std::string& price) {
    return R"({"order_id":")" + id +
           R"(","symbol":"btcusd","side":"buy","type":"exchange limit",)" +
           R"("timestampms":1772359220000,"client_order_id":"a","price":")" + price +
           R"(","original_amount":"0.5"})";
  }
  static std::string transfer_json(const std::string& id, const std::string& address) {
    return R"({"type":"Withdrawal","eid":)" + id +
           R"(,"timestampms":1772362801000,"currency":"BTC","amount":"2","destination":")" +
           address + R"("})";
  }
  Ran reconcile(std::vector<std::string> more) const {
    more.insert(more.begin(), {"reconcile", log});
    return run(more);
  }

  const std::string orders = file("orders.json");
  const std::string transfers = file("transfers.json");
};

TEST_F(AuditReconcile, SaysThatNothingIsForeign) {
  const Ran ran = reconcile({"--orders", orders, "--transfers", transfers});
  EXPECT_EQ(ran.status, 0) << ran.err << ran.out;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("1 orders, 0 trades, 1 transfers; 2 were signed here"),
                             HasSubstr("nothing foreign")));
  EXPECT_THAT(reconcile({"--orders", orders, "--json"}).out,
              HasSubstr(R"({"ok":true,"orders":1,"trades":0,"transfers":0,"matched":1,)"));
}

TEST_F(AuditReconcile, NamesEachForeignOrderAndWithdrawalAndExitsWithFour) {
  write_text(orders, "[" + order_json("1", "30000") + "," + order_json("2", "29000") + "]");
  write_text(transfers, "[" + transfer_json("9", "bc1qthief") + "]");
  const Ran ran = reconcile({"--orders", orders, "--transfers", transfers});
  EXPECT_EQ(ran.status, 4);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("FOREIGN order 2 (client's id a), 2026-03-01T10:00:20"),
                             HasSubstr("buy 0.5 btcusd at 29000"),
                             HasSubstr("FOREIGN transfer 9, 2026-03-01T11:00:01"),
                             HasSubstr("withdrawal 2 btc to bc1qthief"), HasSubstr("2 FOREIGN")));
  EXPECT_THAT(ran.err, HasSubstr("the exchange shows what nobody signed here"));
  const Ran json = reconcile({"--orders", orders, "--json"});
  EXPECT_EQ(json.status, 4);
  EXPECT_THAT(json.out, AllOf(HasSubstr(R"("ok":false)"),
                              HasSubstr(R"("foreign":[{"event":"order","id":"2","client_id":"a")"),
                              HasSubstr(R"("alarm":"no alarm was recorded: )")));
  EXPECT_THAT(reconcile({"--orders", orders, "--json", "--no-alarm"}).out,
              HasSubstr(R"("alarm":"")"));
}

TEST_F(AuditReconcile, TakesSeveralPagesOfEachHistory) {
  write_text(file("more.json"), "[" + order_json("2", "29000") + "]");
  EXPECT_EQ(reconcile({"--orders", orders, "--orders", file("more.json")}).status, 4);
  EXPECT_EQ(reconcile({"--orders", orders, "--orders", orders}).status, 0);
}

TEST_F(AuditReconcile, CanBeHeldToOneKeyAndToALength) {
  EXPECT_EQ(reconcile({"--orders", orders, "--key", "desk-a.trade"}).status, 0);
  EXPECT_EQ(reconcile({"--orders", orders, "--key", "desk-b"}).status, 4);
  EXPECT_EQ(reconcile({"--orders", orders, "--api-key-id", "account-other"}).status, 4);
  EXPECT_EQ(reconcile({"--orders", orders, "--skew", "10s"}).status, 4);
  EXPECT_EQ(reconcile({"--orders", orders, "--skew", "10s", "--since", "2026-03-02"}).status, 0);
}

TEST_F(AuditReconcile, ShowsNothingThatATerminalObeys) {
  write_text(orders, R"([{"order_id":"1\u001b[2J","symbol":"btcusd","side":"buy","type":"x",)"
                     R"("timestampms":1772359220000,"price":"1","original_amount":"1"}])");
  const Ran ran = reconcile({"--orders", orders});
  EXPECT_EQ(ran.status, 4);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("FOREIGN order 1?[2J,"), Not(HasSubstr("\x1b"))));
}

TEST_F(AuditReconcile, RefusesWhatIsNoHistory) {
  EXPECT_EQ(reconcile({}).status, 2);
  EXPECT_EQ(reconcile({"--orders", file("absent")}).status, 2);
  EXPECT_EQ(reconcile({"--orders", orders, "--skew", "soon"}).status, 2);
  write_text(orders, R"({"result":"error","reason":"RateLimited"})");
  const Ran ran = reconcile({"--orders", orders});
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, HasSubstr("not an array of objects, as the exchange answers with"));
}

}  // namespace
}  // namespace hsm::ctl

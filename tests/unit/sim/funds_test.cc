#include <gtest/gtest.h>

#include <ostream>

#include "tests/unit/sim/desk.h"

namespace hsm::sim {
namespace {

using ::testing::AllOf;
using ::testing::Not;

constexpr const char* kFunds = "account-funds";
constexpr const char* kMaster = "master-funds";
constexpr const char* kV1 = "/v1/withdraw/btc";
constexpr const char* kV2 = "/v2/withdraw/bitcoin/btc";
constexpr const char* kTransfer = "/v1/account/transfer/btc";
constexpr const char* kCold = R"("address":"bc1-cold","amount":"1.5")";
constexpr const char* kUuid = "AA97B177-9383-4934-8543-0F91A7A02838";

TEST(Withdrawals, OfVersionOneAnswerInTheDocumentedShape) {
  Desk desk;
  EXPECT_EQ(desk.call_as(kFunds, kV1, kCold).response.body,
            R"({"address":"bc1-cold","amount":"1.5","fee":"0",)"
            R"("withdrawalId":"00000000-0000-4000-8000-000000000001",)"
            R"("message":"You have requested a transfer of 1.5 BTC to bc1-cold. This withdrawal )"
            R"(will be sent to the blockchain within the next 60 seconds."})");
  EXPECT_THAT(desk.call_as(kFunds, "/v1/balances"),
              Says(R"("currency":"BTC","amount":"998.5","available":"998.5")"));
}

TEST(Withdrawals, OfVersionTwoAnswerInTheDocumentedShape) {
  Desk desk;
  EXPECT_EQ(desk.call_as(kFunds, kV2, kCold).response.body,
            R"({"withdrawalId":"00000000-0000-4000-8000-000000000001","address":"bc1-cold",)"
            R"("amount":"1.5","currency":"BTC","fee":"0"})");
  EXPECT_EQ(desk.available("primary", "BTC").text(), "998.5");
}

TEST(Withdrawals, TakeTheCurrencyInAnyCaseAndTheAmountAsANumber) {
  Desk desk;  // As ccxt sends it.
  EXPECT_THAT(desk.call_as(kFunds, "/v1/withdraw/BTC", R"("address":"bc1-cold","amount":1e-7)"),
              Says(R"("amount":"0.0000001")"));
  EXPECT_EQ(desk.available("primary", "BTC").text(), "999.9999999");
}

struct NoMoney {
  const char* path;
  const char* members;
  const char* reason;
  int status;

  friend void PrintTo(const NoMoney& row, std::ostream* out) {
    *out << row.path << ' ' << row.members;
  }
};
class BadWithdrawals : public ::testing::TestWithParam<NoMoney> {};

TEST_P(BadWithdrawals, AreRefusedAndTakeNothing) {
  const NoMoney& row = GetParam();
  Desk desk;
  EXPECT_THAT(desk.call_as(kFunds, row.path, row.members), RefusedAs(row.reason, row.status));
  for (const char* currency : {"BTC", "ETH", "SOL", "USD", "XRP"})
    EXPECT_EQ(desk.available("primary", currency), Book{}.wallet().balances().at(currency).amount);
  EXPECT_TRUE(desk.house().find("primary")->withdrawals.empty());
}

constexpr const char* kNoList = "CryptoAddressWhitelistsNotEnabled";
INSTANTIATE_TEST_SUITE_P(
    Each, BadWithdrawals,
    ::testing::Values(
        NoMoney{kV1, R"("amount":"1")", "MissingOrderField", 400},
        NoMoney{kV2, R"("address":"bc1-cold")", "MissingOrderField", 400},
        NoMoney{kV1, R"("address":"","amount":"1")", "MissingOrderField", 400},
        NoMoney{kV1, R"("address":7,"amount":"1")", "InvalidJson", 400},
        NoMoney{kV1, R"("address":["bc1-cold"],"amount":"1")", "InvalidJson", 400},
        NoMoney{kV1, R"("address":"bc1-cold","amount":"0")", "InvalidQuantity", 400},
        NoMoney{kV1, R"("address":"bc1-cold","amount":"-1")", "InvalidQuantity", 400},
        NoMoney{kV1, R"("address":"bc1-cold","amount":-1)", "InvalidQuantity", 400},
        NoMoney{kV2, R"("address":"bc1-cold","amount":"all")", "InvalidQuantity", 400},
        NoMoney{kV2, R"("address":"bc1-cold","amount":null)", "InvalidQuantity", 400},
        NoMoney{kV2, R"("address":"bc1-cold","amount":"1000.000000000000000001")",
                "InsufficientFunds", 406},
        NoMoney{kV2, R"("address":"bc1-cold","amount":"999999999999999999")", "InsufficientFunds",
                406},
        NoMoney{kV1, R"("address":"bc1-thief","amount":"1")", kNoList, 400},
        NoMoney{kV1, R"("address":"BC1-COLD","amount":"1")", kNoList, 400},
        // Of another account, and of another network.
        NoMoney{kV1, R"("address":"bc1-savings","amount":"1")", kNoList, 400},
        NoMoney{kV2, R"("address":"0xCold","amount":"1")", kNoList, 400},
        NoMoney{kV1, R"("address":"bc1-cold","amount":"1","memo":"7")", "InvalidJson", 400},
        NoMoney{kV1, R"("address":"bc1-cold","amount":"1","memo":7)", "InvalidJson", 400},
        NoMoney{"/v2/withdraw/xrpl/xrp", R"("address":"rCold","amount":"1")", "InvalidJson", 400},
        NoMoney{"/v2/withdraw/xrpl/xrp", R"("address":"rTagged","amount":"1","memo":"tag-8")",
                "InvalidJson", 400},
        NoMoney{kV2, R"("address":"bc1-cold","amount":"1","clientTransferId":"mine")",
                "InvalidJson", 400},
        NoMoney{kV2, R"("address":"bc1-cold","amount":"1","clientTransferId":"")", "InvalidJson",
                400},
        NoMoney{kV1,
                R"("address":"bc1-cold","amount":"1",)"
                R"("client_transfer_id":"AA97B177-9383-4934-8543-0F91A7A0283G")",
                "InvalidJson", 400},
        NoMoney{"/v1/withdraw/doge", R"("address":"bc1-cold","amount":"1")", "UnsupportedNetwork",
                404},
        NoMoney{"/v1/withdraw/usd", R"("address":"bc1-cold","amount":"1")", "UnsupportedNetwork",
                404},
        NoMoney{"/v2/withdraw/ethereum/btc", R"("address":"0xCold","amount":"1")",
                "UnsupportedNetwork", 404},
        NoMoney{"/v2/withdraw/Bitcoin/btc", R"("address":"bc1-cold","amount":"1")",
                "UnsupportedNetwork", 404},
        NoMoney{"/v2/withdraw/dogecoin/doge", R"("address":"bc1-cold","amount":"1")",
                "UnsupportedNetwork", 404}));

TEST(Withdrawals, NameAMemoWhereTheNetworkHasOne) {
  Desk desk;
  EXPECT_THAT(desk.call_as(kFunds, "/v2/withdraw/xrpl/xrp",
                           R"("address":"rCold","amount":"1","memo":"any")"),
              Accepted());
  EXPECT_THAT(desk.call_as(kFunds, "/v2/withdraw/xrpl/xrp",
                           R"("address":"rTagged","amount":"1","memo":"tag-7")"),
              Accepted());
  EXPECT_THAT(desk.call_as(kFunds, "/v1/withdraw/sol", R"("address":"SoCold","amount":"1")"),
              Accepted());
  EXPECT_THAT(
      desk.call_as(kFunds, "/v1/withdraw/sol", R"("address":"SoCold","amount":"1","memo":"m")"),
      Accepted());
}

TEST(Withdrawals, CannotTakeWhatOrdersHold) {
  Desk desk;
  EXPECT_THAT(desk.call("/v1/order/new", R"("symbol":"btcusd","amount":"999","price":"1","side":)"
                                         R"("sell","type":"exchange limit")"),
              Accepted());
  EXPECT_THAT(desk.call_as(kFunds, kV1, kCold), RefusedAs("InsufficientFunds", 406));
  EXPECT_THAT(desk.call_as(kFunds, kV1, R"("address":"bc1-cold","amount":"1")"), Accepted());
  EXPECT_EQ(desk.available("primary", "BTC").text(), "0");
}

TEST(Withdrawals, WithTheSameClientIdHappenOnce) {
  Desk desk;
  const std::string members = std::string{kCold} + R"(,"clientTransferId":")" + kUuid + "\"";
  const std::string first = desk.call_as(kFunds, kV2, members).response.body;
  EXPECT_EQ(desk.call_as(kFunds, kV2, members).response.body, first);
  // In lower case, with another amount: still the first one.
  EXPECT_EQ(desk.call_as(kFunds, kV2,
                         R"("address":"bc1-cold","amount":"900",)"
                         R"("clientTransferId":"aa97b177-9383-4934-8543-0f91a7a02838")")
                .response.body,
            first);
  EXPECT_EQ(desk.available("primary", "BTC").text(), "998.5");
  // Version 1 calls it otherwise; the series of ids is one.
  EXPECT_THAT(
      desk.call_as(kFunds, kV1, std::string{kCold} + R"(,"client_transfer_id":")" + kUuid + "\""),
      Says("00000000-0000-4000-8000-000000000001"));
  EXPECT_EQ(desk.available("primary", "BTC").text(), "998.5");
  // Another account's ids are its own.
  EXPECT_THAT(desk.call_as("account-savings", kV2, members),
              Says("00000000-0000-4000-8000-000000000002"));
}

TEST(Withdrawals, NeedAnAccountWithAnApprovedAddressList) {
  Desk desk;
  EXPECT_THAT(desk.call_as(kMaster, kV1, std::string{kCold} + R"(,"account":"closed")"),
              RefusedAs(kNoList, 400));
  EXPECT_THAT(desk.call_as(kMaster, kV1, std::string{kCold} + R"(,"account":"savings")"),
              Accepted());
  EXPECT_THAT(desk.call_as(kMaster, kV1, kCold), RefusedAs("MissingAccounts", 400));
  EXPECT_EQ(desk.available("savings", "BTC").text(), "998.5");
}

TEST(Transfers, MoveMoneyBetweenAccountsInTheDocumentedShape) {
  Desk desk;
  EXPECT_EQ(desk.call_as(kMaster, kTransfer,
                         R"("sourceAccount":"primary","targetAccount":"savings","amount":"1.0")")
                .response.body,
            R"({"fromAccount":"primary","toAccount":"savings","amount":"1","fee":"0",)"
            R"("currency":"Bitcoin","uuid":"00000000-0000-4000-8000-000000000001",)"
            R"("message":"Success, transfer completed."})");
  EXPECT_EQ(desk.available("primary", "BTC").text(), "999");
  EXPECT_EQ(desk.available("savings", "BTC").text(), "1001");
  EXPECT_THAT(desk.call_as(kMaster, "/v1/account/transfer/USD",
                           R"("sourceAccount":"savings","targetAccount":"closed","amount":5)"),
              Says(R"("currency":"Dollar")"));
}

TEST(Transfers, NeedAMasterKeyWithTheFundManagerRole) {
  Desk desk;
  const char* members = R"("sourceAccount":"primary","targetAccount":"savings","amount":"1")";
  EXPECT_THAT(desk.call_as(kFunds, kTransfer, members),
              AllOf(RefusedAs("MissingRole", 403), Says("needs a master key")));
  EXPECT_THAT(desk.call_as("master-desk", kTransfer, members), RefusedAs("MissingRole", 403));
  EXPECT_EQ(desk.available("primary", "BTC").text(), "1000");
}

class BadTransfers : public ::testing::TestWithParam<NoMoney> {};

TEST_P(BadTransfers, AreRefusedAndMoveNothing) {
  const NoMoney& row = GetParam();
  Desk desk;
  EXPECT_THAT(desk.call_as(kMaster, row.path, row.members), RefusedAs(row.reason, row.status));
  EXPECT_EQ(desk.available("primary", "BTC").text(), "1000");
  EXPECT_EQ(desk.available("savings", "BTC").text(), "1000");
}

INSTANTIATE_TEST_SUITE_P(
    Each, BadTransfers,
    ::testing::Values(
        NoMoney{kTransfer, R"("targetAccount":"savings","amount":"1")", "MissingOrderField", 400},
        NoMoney{kTransfer, R"("sourceAccount":"primary","amount":"1")", "MissingOrderField", 400},
        NoMoney{kTransfer, R"("sourceAccount":"primary","targetAccount":"savings")",
                "MissingOrderField", 400},
        NoMoney{kTransfer, R"("sourceAccount":"primary","targetAccount":"nobody","amount":"1")",
                "MissingAccounts", 400},
        NoMoney{kTransfer, R"("sourceAccount":"Primary","targetAccount":"savings","amount":"1")",
                "MissingAccounts", 400},
        NoMoney{kTransfer, R"("sourceAccount":"primary","targetAccount":"primary","amount":"1")",
                "ConflictingAccountName", 400},
        NoMoney{kTransfer, R"("sourceAccount":"primary","targetAccount":"savings","amount":"0")",
                "InvalidQuantity", 400},
        NoMoney{kTransfer,
                R"("sourceAccount":"primary","targetAccount":"savings","amount":"1000.1")",
                "InsufficientFunds", 406},
        NoMoney{kTransfer,
                R"("sourceAccount":"primary","targetAccount":"savings","amount":"1",)"
                R"("clientTransferId":"x")",
                "InvalidJson", 400},
        NoMoney{"/v1/account/transfer/doge",
                R"("sourceAccount":"primary","targetAccount":"savings","amount":"1")",
                "UnsupportedNetwork", 404}));

TEST(Transfers, WithTheSameClientIdHappenOnce) {
  Desk desk;
  const std::string members =
      R"("sourceAccount":"primary","targetAccount":"savings","amount":"1","clientTransferId":")" +
      std::string{kUuid} + "\"";
  const std::string first = desk.call_as(kMaster, kTransfer, members).response.body;
  EXPECT_EQ(desk.call_as(kMaster, kTransfer, members).response.body, first);
  EXPECT_EQ(desk.available("savings", "BTC").text(), "1001");
}

TEST(AccountList, IsForMasterKeys) {
  Desk desk;
  EXPECT_THAT(desk.call_as("account-savings", "/v1/account/list"), RefusedAs("MissingRole", 403));
  EXPECT_THAT(desk.call_as("master-desk", "/v1/account/list"),
              AllOf(Says(R"([{"name":"primary","account":"primary","type":"exchange",)"
                         R"("counterparty_id":"SIMULATED","created":1800000000000,)"
                         R"("status":"open"})"),
                    Says(R"("account":"savings")"), Says(R"("account":"closed")")));
  EXPECT_THAT(desk.call_as("master-desk", "/v1/account/list", R"("limit_accounts":1)"),
              Not(Says("savings")));
  EXPECT_EQ(
      desk.call_as("master-desk", "/v1/account/list", R"("timestamp":1799999999)").response.body,
      "[]");
}

TEST(DepositAddresses, AreMadeAndListedPerNetworkAndAccount) {
  Desk desk;
  EXPECT_EQ(
      desk.call_as(kFunds, "/v1/deposit/bitcoin/newAddress", R"("label":"mine")").response.body,
      R"({"network":"bitcoin","address":"simulated-bitcoin-primary-1","label":"mine"})");
  desk.clock.advance(std::chrono::seconds{1});
  EXPECT_THAT(desk.call_as(kFunds, "/v1/deposit/bitcoin/newAddress"), Accepted());
  EXPECT_EQ(desk.call("/v1/addresses/bitcoin").response.body,
            R"([{"address":"simulated-bitcoin-primary-1","timestamp":1800000000000,)"
            R"("network":"bitcoin","label":"mine"},)"
            R"({"address":"simulated-bitcoin-primary-2","timestamp":1800000001000,)"
            R"("network":"bitcoin"}])");
  EXPECT_THAT(desk.call("/v1/addresses/bitcoin", R"("timestamp":1800000001)"),
              AllOf(Says("primary-2"), Not(Says("primary-1"))));
  EXPECT_EQ(desk.call("/v1/addresses/ethereum").response.body, "[]");
  EXPECT_EQ(desk.call_as("account-savings", "/v1/addresses/bitcoin").response.body, "[]");
  EXPECT_THAT(desk.call("/v1/addresses/dogecoin"), RefusedAs("UnsupportedNetwork", 404));
  EXPECT_THAT(desk.call_as(kFunds, "/v1/deposit/BTC/newAddress"),  // As ccxt calls it.
              Says(R"({"network":"bitcoin","address":"simulated-bitcoin-primary-3"})"));
  for (const char* path : {"/v1/deposit/usd/newAddress", "/v1/deposit/doge/newAddress"})
    EXPECT_THAT(desk.call_as(kFunds, path), RefusedAs("UnsupportedNetwork", 404)) << path;
}

constexpr const char* kRequest = "/v1/approvedAddresses/bitcoin/request";
constexpr const char* kRemove = "/v1/approvedAddresses/bitcoin/remove";
constexpr const char* kList = "/v1/approvedAddresses/account/bitcoin";
constexpr const char* kFresh = R"("address":"bc1-fresh","label":"fresh")";

TEST(ApprovedAddresses, WaitSevenDaysToTheNanosecond) {
  Desk desk;
  EXPECT_EQ(desk.call_as("account-trusted", kRequest, kFresh).response.body,
            R"({"message":"Approved address addition is now waiting a 7-day approval hold before )"
            R"(activation."})");
  const char* members = R"("address":"bc1-fresh","amount":"1")";
  EXPECT_THAT(desk.call(kList),
              Says(R"({"approvedAddresses":[{"network":"bitcoin","scope":"account",)"
                   R"("label":"fresh","status":"pending-time","createdAt":"1800000000000",)"
                   R"("address":"bc1-fresh"},{"network":"bitcoin","scope":"group",)"
                   R"("label":"cold","status":"active")"));
  desk.clock.advance(std::chrono::hours{7 * 24} - std::chrono::nanoseconds{1});
  EXPECT_THAT(desk.call_as(kFunds, kV1, members), RefusedAs(kNoList, 400));
  // Asking again does not begin anew.
  EXPECT_THAT(desk.call_as("account-trusted", kRequest, kFresh), Accepted());
  desk.clock.advance(std::chrono::nanoseconds{1});
  EXPECT_THAT(desk.call_as(kFunds, kV1, members), Accepted());
  EXPECT_THAT(desk.call(kList), Says(R"("label":"fresh","status":"active")"));
}

TEST(ApprovedAddresses, AreRequestedByKeysWithTrustedIpsOnly) {
  Desk desk;
  EXPECT_THAT(desk.call_as(kFunds, kRequest, kFresh), RefusedAs("ApiKeyIpFilteringFailure", 403));
  EXPECT_THAT(desk.call(kList), Not(Says("bc1-fresh")));
}

TEST(ApprovedAddresses, OfAnAccountAreItsOwnAndThoseOfTheGroupAreEverybodys) {
  Desk desk;
  EXPECT_THAT(desk.call_as("account-trusted", kRequest, kFresh), Accepted());
  EXPECT_THAT(desk.call_as(kMaster, kRequest, R"("address":"bc1-group","label":"g")"), Accepted());
  EXPECT_THAT(
      desk.call_as(kMaster, kRequest, R"("address":"bc1-closed","label":"c","account":"closed")"),
      Accepted());
  EXPECT_THAT(desk.call(kList), AllOf(Says("bc1-fresh"), Says("bc1-group"), Says("bc1-cold"),
                                      Not(Says("bc1-closed")), Not(Says("bc1-savings"))));
  EXPECT_THAT(desk.call_as("account-savings", kList),
              AllOf(Not(Says("bc1-fresh")), Says("bc1-group"), Says("bc1-savings")));
  EXPECT_THAT(desk.call_as(kMaster, kList), RefusedAs("MissingAccounts", 400));
  EXPECT_THAT(desk.call_as(kMaster, kList, R"("account":"closed")"), Says("bc1-closed"));
  desk.clock.advance(AddressBook::kHold);
  EXPECT_THAT(desk.call_as("account-savings", kV1, R"("address":"bc1-group","amount":"1")"),
              Accepted());
  EXPECT_THAT(desk.call_as("account-savings", kV1, R"("address":"bc1-fresh","amount":"1")"),
              RefusedAs(kNoList, 400));
}

TEST(ApprovedAddresses, AreRemovedFromTheListTheyStandOnAndUseless) {
  Desk desk;
  // The group's list is a master key's to shorten.
  EXPECT_THAT(desk.call_as(kFunds, kRemove, R"("address":"bc1-cold")"), RefusedAs(kNoList, 400));
  EXPECT_EQ(desk.call_as(kMaster, kRemove, R"("address":"bc1-cold")").response.body,
            R"({"message":"bc1-cold removed from group active approved addresses."})");
  EXPECT_THAT(desk.call_as(kFunds, kV1, kCold), RefusedAs(kNoList, 400));
  // Asked for twice, it stands there once.
  EXPECT_THAT(desk.call_as("account-trusted", kRequest, kFresh), Accepted());
  EXPECT_THAT(desk.call_as("account-trusted", kRequest, kFresh), Accepted());
  EXPECT_EQ(desk.call_as(kFunds, kRemove, R"("address":"bc1-fresh")").response.body,
            R"({"message":"bc1-fresh removed from account pending-time approved addresses."})");
  EXPECT_THAT(desk.call_as(kFunds, kRemove, R"("address":"bc1-fresh")"), RefusedAs(kNoList, 400));
}

TEST(ApprovedAddresses, NeedAddressAndLabel) {
  Desk desk;
  EXPECT_THAT(desk.call_as("account-trusted", kRequest, R"("address":"b")"),
              RefusedAs("MissingOrderField", 400));
  EXPECT_THAT(desk.call_as("account-trusted", kRequest, R"("label":"b")"),
              RefusedAs("MissingOrderField", 400));
  EXPECT_THAT(desk.call_as(kFunds, kRemove), RefusedAs("MissingOrderField", 400));
  EXPECT_THAT(desk.call_as("account-trusted", kRequest,
                           R"("address":")" + std::string(257, 'b') + R"(","label":"b")"),
              RefusedAs("InvalidJson", 400));
  EXPECT_THAT(desk.call_as("account-trusted", "/v1/approvedAddresses/dogecoin/request", kFresh),
              RefusedAs("UnsupportedNetwork", 404));
}

}  // namespace
}  // namespace hsm::sim

// The endpoint table: each row by name, and that no request can be two of them.
#include "hsm_signer/venue/endpoints.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <string>
#include <vector>

namespace hsm::venue {
namespace {

using enum Class;

std::vector<std::string_view> segments(std::string_view path) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    parts.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

// A request that fits `path`, with `word` for every parameter.
std::string filled(std::string_view path, std::string_view word) {
  std::string request;
  for (std::string_view part : segments(path)) {
    if (!request.empty() || (path.starts_with('/') && part.data() != path.data()))
      request.push_back('/');
    request.append(part.starts_with('{') ? word : part);
  }
  return request;
}

struct Row {
  const char* request;
  const char* path;
  Class cls;
  Roles roles;
};
constexpr Roles kTF = kTrader | kFundManager, kTA = kTrader | kAuditor;

// What would be dangerous to get wrong, written down a second time.
constexpr Row kJudged[] = {
    {"/v1/order/new", "/v1/order/new", trade, kTrader},
    {"/v1/order/cancel", "/v1/order/cancel", cancel, kTrader},
    {"/v1/order/cancel/all", "/v1/order/cancel/all", cancel, kTrader},
    {"/v1/order/cancel/session", "/v1/order/cancel/session", cancel, kTrader},
    {"/v1/order/status", "/v1/order/status", read, kTrader},
    {"/v1/order/events", "/v1/order/events", read, kTA},
    {"/v1/heartbeat", "/v1/heartbeat", session, kAnyRole},
    {"/v1/wrap/GUSDUSD", "/v1/wrap/{symbol}", trade, kTrader},
    {"/v1/instant/quote", "/v1/instant/quote", read, kTrader},
    {"/v1/instant/quote/", "/v1/instant/quote/", read, kTrader},
    {"/v1/instant/execute", "/v1/instant/execute", move, kTrader},
    {"/v1/withdraw/BTC", "/v1/withdraw/{currency}", move, kFundManager},
    {"/v1/withdraw/usd", "/v1/withdraw/usd", move, kFundManager},
    {"/v2/withdraw/bitcoin/btc", "/v2/withdraw/{network}/{ticker}", move, kFundManager},
    {"/v1/withdraw/btc/feeEstimate", "/v1/withdraw/{currency}/feeEstimate", read, kFundManager},
    {"/v2/withdraw/bitcoin/btc/feeEstimate", "/v2/withdraw/{network}/{ticker}/feeEstimate", read,
     kFundManager},
    {"/v1/account/transfer/btc", "/v1/account/transfer/{currency}", move, kFundManager},
    {"/v1/payments/sen/withdraw", "/v1/payments/sen/withdraw", move, kFundManager},
    {"/v1/deposit/bitcoin/newAddress", "/v1/deposit/{network}/newAddress", widen, kFundManager},
    {"/v1/payments/addbank", "/v1/payments/addbank", widen, kFundManager},
    {"/v1/payments/addbank/cad", "/v1/payments/addbank/cad", widen, kFundManager},
    {"/v1/approvedAddresses/bitcoin/request", "/v1/approvedAddresses/{network}/request", widen,
     kFundManager},
    {"/v1/approvedAddresses/bitcoin/remove", "/v1/approvedAddresses/{network}/remove", widen,
     kFundManager},
    {"/v1/approvedAddresses/account/bitcoin", "/v1/approvedAddresses/account/{network}", read,
     kAnyRole},
    {"/v1/staking/stake", "/v1/staking/stake", move, kTF},
    {"v1/staking/stake", "v1/staking/stake", move, kTF},
    {"/v1/staking/unstake", "/v1/staking/unstake", move, kTF},
    {"v1/staking/unstake", "v1/staking/unstake", move, kTF},
    {"/v1/clearing/new", "/v1/clearing/new", move, kTrader},
    {"/v1/clearing/broker/new", "/v1/clearing/broker/new", move, kTrader},
    {"/v1/clearing/confirm", "/v1/clearing/confirm", move, kTrader},
    {"/v1/clearing/cancel", "/v1/clearing/cancel", cancel, kTrader},
    {"/v1/account/create", "/v1/account/create", admin, kAdministrator},
    {"/v1/account/rename", "/v1/account/rename", admin, kAdministrator},
    {"/v1/oauth/revokeByToken", "/v1/oauth/revokeByToken", admin, kAdministrator},
    {"/v1/prediction-markets/order", "/v1/prediction-markets/order", trade, kTrader},
    {"/v1/prediction-markets/order/batch", "/v1/prediction-markets/order/batch", trade, kTrader},
    {"/v1/prediction-markets/order/cancel", "/v1/prediction-markets/order/cancel", cancel, kTrader},
    {"/v1/prediction-markets/order/batch/cancel", "/v1/prediction-markets/order/batch/cancel",
     cancel, kTrader},
    {"/v1/prediction-markets/terms/accept", "/v1/prediction-markets/terms/accept", admin, kTrader},
};

TEST(Endpoints, AreJudgedByWhatTheyCanDo) {
  for (const Row& row : kJudged) {
    const Endpoint* found = find_endpoint(row.request);
    ASSERT_NE(found, nullptr) << row.request;
    EXPECT_EQ(found->path, row.path);
    EXPECT_EQ(name(found->cls), name(row.cls)) << row.request;
    EXPECT_EQ(found->roles, row.roles) << row.request;
  }
}

TEST(Endpoints, HaveNothingAboveReadThatTheListAboveMisses) {
  std::set<std::string_view> listed;
  for (const Row& row : kJudged) listed.insert(row.path);
  for (const Endpoint& row : endpoints())
    EXPECT_TRUE(row.cls == read || listed.contains(row.path)) << row.path;
}

TEST(Endpoints, AreAllFoundByTheirOwnPath) {
  EXPECT_EQ(endpoints().size(), 86u);
  for (const Endpoint& row : endpoints())
    EXPECT_EQ(find_endpoint(filled(row.path, "x")), &row) << row.path;
}

TEST(Endpoints, NeverShareARequest) {
  for (const Endpoint& a : endpoints())
    for (const Endpoint& b : endpoints()) {
      if (&a == &b) continue;
      // Were a request of `a` also one of `b`, some literal of `b` would stand where `a` has a
      // parameter.
      for (std::string_view word : segments(b.path)) {
        if (word.empty() || word.starts_with('{')) continue;
        const std::string request = filled(a.path, word);
        const Endpoint* found = find_endpoint(request);
        const bool own = found == &a || found == nullptr;
        const bool literal = found != nullptr && found->path == request;
        EXPECT_TRUE(own || literal) << request << " is taken for " << found->path;
      }
    }
}

TEST(Endpoints, NeverTakeAFeeEstimateForAWithdrawal) {
  for (const char* request : {"/v1/withdraw/feeEstimate", "/v2/withdraw/bitcoin/feeEstimate",
                              "/v2/withdraw/feeEstimate/btc", "/v2/withdraw/bitcoin/FEEESTIMATE"})
    EXPECT_EQ(find_endpoint(request), nullptr) << request;
}

TEST(Endpoints, RefuseARequestThatCouldBeTwo) {
  // The list of network "request", or a new address for network "account"?
  EXPECT_EQ(find_endpoint("/v1/approvedAddresses/account/request"), nullptr);
  EXPECT_EQ(find_endpoint("/v1/approvedAddresses/account/remove"), nullptr);
}

TEST(Endpoints, RefuseWhatIsNotSpelledExactly) {
  for (const char* request : {"",
                              "/",
                              "v1/balances",
                              "/v1/balances/",
                              "//v1/balances",
                              "/v1//balances",
                              "/v1/Balances",
                              "/v1/balances ",
                              "/v1/balances?x=1",
                              "/v1/balances#",
                              "/v1/order/new/",
                              "/v1/order/./new",
                              "/v1/order/../order/new",
                              "/v1/withdraw",
                              "/v1/withdraw/",
                              "/v1/withdraw/btc/",
                              "/v1/withdraw/btc/x",
                              "/v1/withdraw/{currency}",
                              "/v1/withdraw/b%74c",
                              "/v2/withdraw/btc",
                              "/v2/withdraw/bitcoin/",
                              "/v2/withdraw//btc",
                              "/v3/balances",
                              "/v1/instant/execute/",
                              "staking/stake",
                              "/v1/pubticker/btcusd"})
    EXPECT_EQ(find_endpoint(request), nullptr) << request;
}

TEST(Endpoints, NameAnIdempotencyMemberThatTheyKnow) {
  for (const Endpoint& row : endpoints()) {
    if (row.idempotency.empty()) continue;
    EXPECT_EQ(row.cls, move) << row.path;
    EXPECT_TRUE(std::any_of(row.members.begin(), row.members.end(), [&](const Member& member) {
      return member.name == row.idempotency;
    })) << row.path;
  }
}

TEST(Endpoints, HaveNoMemberThatAnotherCouldBeTakenFor) {
  for (const Endpoint& row : endpoints()) {
    std::set<std::string> names{"request", "nonce", "account"};
    for (const Member& member : row.members) {
      std::string folded;
      for (char c : member.name)
        folded.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
      EXPECT_TRUE(names.insert(folded).second) << row.path << " " << member.name;
    }
  }
}

TEST(Classes, HaveNamesBothWays) {
  for (Class cls : {read, cancel, trade, move, widen, admin, session}) {
    Class back = read;
    ASSERT_TRUE(class_from_name(name(cls), back)) << name(cls);
    EXPECT_EQ(back, cls);
  }
  Class out = move;
  for (const char* text : {"", "Read", "reads", "class:read", "all"})
    EXPECT_FALSE(class_from_name(text, out)) << text;
  EXPECT_EQ(out, move);
}

}  // namespace
}  // namespace hsm::venue

// The rows themselves. Paths, roles and members are the exchange's documentation (REST reference of
// March 2026; prediction markets as the public client libraries call them); the class is our
// judgement of what the call can do to its owner, the stricter one where it can do two things.
#include "hsm_signer/venue/endpoint_rows.h"

#include <array>

namespace hsm::venue {
namespace {

constexpr bool kRequired = true;
constexpr bool kMaster = true;
constexpr bool kNotMaster = false;
constexpr Roles kT = kTrader, kF = kFundManager, kA = kAuditor;
constexpr Roles kTA = kT | kA, kFA = kF | kA, kTF = kT | kF, kTFA = kT | kF | kA;

using Members = std::span<const Member>;
constexpr Members kNone{};

constexpr Member kOrderNew[] = {
    {"client_order_id", Type::text},
    {"symbol", Type::text, kRequired},
    {"amount", Type::amount, kRequired},
    {"price", Type::amount, kRequired},
    {"side", Type::text, kRequired},
    {"type", Type::text, kRequired},
    {"options", Type::texts},
    {"stop_price", Type::amount},
    {"margin_order", Type::boolean},
};
constexpr Member kOrderCancel[] = {{"order_id", Type::integer, kRequired}};
// Either of the two ids will do, so neither is required.
constexpr Member kOrderStatus[] = {{"order_id", Type::integer},
                                   {"client_order_id", Type::text},
                                   {"include_trades", Type::boolean}};
constexpr Member kOrdersHistory[] = {
    {"symbol", Type::text}, {"limit_orders", Type::integer}, {"timestamp", Type::any}};
constexpr Member kMyTrades[] = {
    {"symbol", Type::text}, {"limit_trades", Type::integer}, {"timestamp", Type::any}};
constexpr Member kWrap[] = {
    {"amount", Type::amount, kRequired}, {"side", Type::text}, {"client_order_id", Type::text}};

constexpr Member kInstantQuote[] = {
    {"side", Type::text, kRequired},         {"symbol", Type::text, kRequired},
    {"totalSpend", Type::amount, kRequired}, {"paymentMethodUuid", Type::text},
    {"paymentMethodType", Type::text},
};
constexpr Member kInstantExecute[] = {
    {"symbol", Type::text, kRequired},     {"side", Type::text, kRequired},
    {"quantity", Type::amount, kRequired}, {"price", Type::amount},
    {"fee", Type::amount, kRequired},      {"quoteId", Type::integer, kRequired},
};
constexpr Member kMarginPreview[] = {
    {"symbol", Type::text, kRequired}, {"side", Type::text, kRequired},
    {"type", Type::text, kRequired},   {"amount", Type::amount},
    {"price", Type::amount},           {"totalSpend", Type::amount},
};
constexpr Member kSymbol[] = {{"symbol", Type::text, kRequired}};

constexpr Member kBalances[] = {{"showPendingBalances", Type::boolean}};
constexpr Member kTimestamp[] = {{"timestamp", Type::any}};
constexpr Member kNewAddress[] = {{"label", Type::text}, {"legacy", Type::boolean}};
constexpr Member kWithdrawV2[] = {
    {"address", Type::text, kRequired},
    {"amount", Type::amount, kRequired},
    {"memo", Type::text},
    {"clientTransferId", Type::text},
};
constexpr Member kWithdrawV1[] = {
    {"address", Type::text, kRequired},
    {"amount", Type::amount, kRequired},
    {"memo", Type::text},
    {"client_transfer_id", Type::text},
};
// Older clients send an address (US dollars leave as GUSD), newer ones a bank account.
constexpr Member kWithdrawUsd[] = {
    {"address", Type::text},
    {"amount", Type::amount, kRequired},
    {"accountId", Type::text},
    {"currency", Type::text},
};
constexpr Member kFeeEstimate[] = {
    {"address", Type::text, kRequired}, {"amount", Type::amount, kRequired}, {"memo", Type::text}};
constexpr Member kTransfer[] = {
    {"sourceAccount", Type::text, kRequired},
    {"targetAccount", Type::text, kRequired},
    {"amount", Type::amount, kRequired},
    {"clientTransferId", Type::text},
    {"withdrawalId", Type::text},
};
constexpr Member kTransfers[] = {
    {"currency", Type::text},
    {"network", Type::text},
    {"timestamp", Type::any},
    {"limit_transfers", Type::integer},
    {"show_completed_deposit_advances", Type::boolean},
};
constexpr Member kCustodyFees[] = {{"timestamp", Type::any}, {"limit_transfers", Type::integer}};
constexpr Member kTransactions[] = {
    {"timestamp_nanos", Type::any}, {"limit", Type::integer}, {"continuation_token", Type::text}};
constexpr Member kAddBank[] = {
    {"accountnumber", Type::text, kRequired},
    {"routing", Type::text, kRequired},
    {"type", Type::text, kRequired},
    {"name", Type::text, kRequired},
};
constexpr Member kAddBankCad[] = {
    {"swiftcode", Type::text, kRequired},
    {"accountNumber", Type::text, kRequired},
    {"institutionNumber", Type::text},
    {"branchnnumber", Type::text},  // Spelled so by the exchange.
    {"type", Type::text, kRequired},
    {"name", Type::text, kRequired},
};
constexpr Member kAddressRequest[] = {
    {"address", Type::text, kRequired}, {"label", Type::text, kRequired}, {"memo", Type::text}};
constexpr Member kAddressRemove[] = {{"address", Type::text, kRequired}};
constexpr Member kSenWithdraw[] = {{"bankId", Type::text, kRequired},
                                   {"amount", Type::amount, kRequired}};

constexpr Member kStake[] = {
    {"providerId", Type::text, kRequired},
    {"currency", Type::text, kRequired},
    {"amount", Type::amount, kRequired},
};
constexpr Member kStakingHistory[] = {
    {"since", Type::any},       {"until", Type::any},     {"limit", Type::integer},
    {"providerId", Type::text}, {"currency", Type::text}, {"interestOnly", Type::boolean},
    {"sortAsc", Type::boolean},
};
constexpr Member kStakingRewards[] = {{"since", Type::any, kRequired},
                                      {"until", Type::any},
                                      {"providerId", Type::text},
                                      {"currency", Type::text}};

constexpr Member kClearingNew[] = {
    {"symbol", Type::text, kRequired},  {"amount", Type::amount, kRequired},
    {"price", Type::amount, kRequired}, {"side", Type::text, kRequired},
    {"counterparty_id", Type::text},    {"expires_in_hrs", Type::integer},
};
constexpr Member kClearingBroker[] = {
    {"source_counterparty_id", Type::text, kRequired},
    {"target_counterparty_id", Type::text, kRequired},
    {"symbol", Type::text, kRequired},
    {"amount", Type::amount, kRequired},
    {"price", Type::amount, kRequired},
    {"side", Type::text, kRequired},
    {"expires_in_hrs", Type::integer, kRequired},
};
constexpr Member kClearingConfirm[] = {
    {"clearing_id", Type::text, kRequired}, {"symbol", Type::text, kRequired},
    {"amount", Type::amount, kRequired},    {"price", Type::amount, kRequired},
    {"side", Type::text, kRequired},
};
constexpr Member kClearingId[] = {{"clearing_id", Type::text, kRequired}};
constexpr Member kClearingList[] = {
    {"symbol", Type::text},
    {"counterparty", Type::text},
    {"side", Type::text},
    {"expiration_start", Type::any},
    {"expiration_end", Type::any},
    {"submission_start", Type::any},
    {"submission_end", Type::any},
    {"funded", Type::boolean},
    {"status", Type::text},
    {"timestamp", Type::any},
    {"limit_orders", Type::integer},
};
constexpr Member kClearingTrades[] = {
    {"timestamp_nanos", Type::any},
    {"limit_per_account", Type::integer},
    {"symbol", Type::text},
    {"limit_trades", Type::integer},
};

constexpr Member kAccountList[] = {{"limit_accounts", Type::integer}, {"timestamp", Type::any}};
constexpr Member kAccountCreate[] = {{"name", Type::text, kRequired}, {"type", Type::text}};
constexpr Member kAccountRename[] = {{"newName", Type::text}, {"newAccount", Type::text}};

constexpr Member kPredictionOrder[] = {
    {"symbol", Type::text, kRequired},  {"orderType", Type::text, kRequired},
    {"side", Type::text, kRequired},    {"quantity", Type::amount, kRequired},
    {"price", Type::amount, kRequired}, {"outcome", Type::text, kRequired},
    {"timeInForce", Type::text},        {"stopPrice", Type::amount},
    {"makerOrCancel", Type::boolean},
};
// The orders lie one level down, where nothing judges them: a policy that limits amounts cannot
// allow this row.
constexpr Member kPredictionBatch[] = {{"orders", Type::any, kRequired}};
constexpr Member kPredictionCancel[] = {{"orderId", Type::integer, kRequired}};
constexpr Member kPredictionBatchCancel[] = {{"orderIds", Type::any, kRequired}};

constexpr Endpoint post(std::string_view path, Class cls, Roles roles, Members members = kNone,
                        bool master = kNotMaster, std::string_view idempotency = {}) {
  return {path, Method::post, cls, roles, master, idempotency, members};
}
constexpr Endpoint get(std::string_view path, Class cls, Roles roles) {
  return {path, Method::get, cls, roles, kNotMaster, {}, kNone};
}
using enum Class;

constexpr std::array kRows{
    // Orders.
    post("/v1/order/new", trade, kT, kOrderNew),
    post("/v1/order/cancel", cancel, kT, kOrderCancel),
    post("/v1/order/cancel/all", cancel, kT),
    post("/v1/order/cancel/session", cancel, kT),
    post("/v1/order/status", read, kT, kOrderStatus),
    post("/v1/orders", read, kTA),
    post("/v1/orders/history", read, kTA, kOrdersHistory),
    post("/v1/mytrades", read, kTA, kMyTrades),
    post("/v1/tradevolume", read, kTA),
    post("/v1/notionalvolume", read, kTA),
    post("/v1/wrap/{symbol}", trade, kT, kWrap),
    post("/v1/heartbeat", session, kAnyRole),
    // The upgrade to the order event stream, which cannot trade.
    get("/v1/order/events", read, kTA),

    // Instant, margin, derivatives. The documentation spells the quote with a slash at the end.
    post("/v1/instant/quote", read, kT, kInstantQuote),
    post("/v1/instant/quote/", read, kT, kInstantQuote),
    // Can pull money from a bank account or card, so more than a trade.
    post("/v1/instant/execute", move, kT, kInstantExecute),
    post("/v1/margin/account", read, kTFA),
    post("/v1/margin/rates", read, kTFA),
    post("/v1/margin/order/preview", read, kTA, kMarginPreview),
    post("/v1/margin", read, kTA, kSymbol),
    post("/v1/positions", read, kTA),
    post("/v1/perpetuals/fundingPayment", read, kTA),
    get("/v1/perpetuals/fundingpaymentreport/records.xlsx", read, kTA),
    post("/v1/perpetuals/fundingpaymentreport/records.json", read, kTA),
    get("/v2/fxrate/{symbol}/{timestamp}", read, kA),
    get("/v2/network/{token}", read, kFA),

    // Funds.
    post("/v1/balances", read, kTFA, kBalances),
    post("/v1/notionalbalances/{currency}", read, kTFA),
    post("/v1/addresses/{network}", read, kTFA, kTimestamp),
    post("/v1/deposit/{network}/newAddress", widen, kF, kNewAddress),
    post("/v2/withdraw/{network}/{ticker}", move, kF, kWithdrawV2, kNotMaster, "clientTransferId"),
    post("/v1/withdraw/{currency}", move, kF, kWithdrawV1, kNotMaster, "client_transfer_id"),
    post("/v1/withdraw/usd", move, kF, kWithdrawUsd),
    post("/v2/withdraw/{network}/{ticker}/feeEstimate", read, kF, kFeeEstimate),
    post("/v1/withdraw/{currency}/feeEstimate", read, kF, kFeeEstimate),
    post("/v1/account/transfer/{currency}", move, kF, kTransfer, kMaster, "clientTransferId"),
    post("/v2/transfers", read, kTFA, kTransfers),
    post("/v1/transfers", read, kTFA, kTransfers),
    post("/v1/custodyaccountfees", read, kTFA, kCustodyFees),
    post("/v1/transactions", read, kTFA, kTransactions, kMaster),
    post("/v1/payments/methods", read, kAnyRole),
    post("/v1/payments/addbank", widen, kF, kAddBank),
    post("/v1/payments/addbank/cad", widen, kF, kAddBankCad),
    post("/v1/approvedAddresses/account/{network}", read, kAnyRole),
    post("/v1/approvedAddresses/{network}/request", widen, kF, kAddressRequest),
    // Narrows, but taking the desk's own address off the list stops its withdrawals.
    post("/v1/approvedAddresses/{network}/remove", widen, kF, kAddressRemove),
    // No longer documented, still called by clients.
    post("/v1/payments/sen/withdraw", move, kF, kSenWithdraw),
    post("/v1/balances/earn", read, kTFA),
    post("/v1/earn/interest", read, kTFA),
    post("/v1/earn/history", read, kTFA),

    // Staking. The documentation spells stake and unstake without the first slash.
    post("/v1/balances/staking", read, kTFA),
    post("/v1/staking/stake", move, kTF, kStake),
    post("v1/staking/stake", move, kTF, kStake),
    post("/v1/staking/unstake", move, kTF, kStake),
    post("v1/staking/unstake", move, kTF, kStake),
    post("/v1/staking/history", read, kTFA, kStakingHistory),
    post("/v1/staking/rewards", read, kTFA, kStakingRewards),

    // Clearing: settled between two parties at any price, so it can give money away.
    post("/v1/clearing/new", move, kT, kClearingNew),
    post("/v1/clearing/broker/new", move, kT, kClearingBroker),
    post("/v1/clearing/confirm", move, kT, kClearingConfirm),
    post("/v1/clearing/cancel", cancel, kT, kClearingId),
    post("/v1/clearing/status", read, kT, kClearingId),
    post("/v1/clearing/list", read, kT, kClearingList),
    post("/v1/clearing/broker/list", read, kT, kClearingList),
    post("/v1/clearing/trades", read, kT, kClearingTrades),

    // Accounts.
    post("/v1/account", read, kAnyRole),
    post("/v1/roles", read, kAnyRole),
    post("/v1/account/list", read, kAnyRole, kAccountList, kMaster),
    post("/v1/account/create", admin, kAdministrator, kAccountCreate, kMaster),
    post("/v1/account/rename", admin, kAdministrator, kAccountRename),
    post("/v1/oauth/revokeByToken", admin, kAdministrator),

    // Prediction markets.
    post("/v1/prediction-markets/order", trade, kT, kPredictionOrder),
    post("/v1/prediction-markets/order/batch", trade, kT, kPredictionBatch),
    post("/v1/prediction-markets/order/cancel", cancel, kT, kPredictionCancel),
    post("/v1/prediction-markets/order/batch/cancel", cancel, kT, kPredictionBatchCancel),
    post("/v1/prediction-markets/orders/active", read, kTA),
    post("/v1/prediction-markets/orders/history", read, kTA),
    post("/v1/prediction-markets/positions", read, kTA),
    post("/v1/prediction-markets/positions/settled", read, kTA),
    post("/v1/prediction-markets/metrics/volume", read, kTA),
    // Accepts legal terms in the name of the account's owner.
    post("/v1/prediction-markets/terms/accept", admin, kT),
    post("/v1/prediction-markets/maker-rebate/payouts", read, kTA),
    get("/v1/prediction-markets/terms/status", read, kTA),
    get("/v1/prediction-markets/maker-rebate/summary/total", read, kTA),
    get("/v1/prediction-markets/liquidity-rewards/summary/daily", read, kTA),
    get("/v1/prediction-markets/liquidity-rewards/summary/total", read, kTA),
};

}  // namespace

std::span<const Endpoint> endpoint_rows() { return kRows; }

}  // namespace hsm::venue

"""A trading program is stolen: whoever has it asks for everything that its key could do. What its desk allowed is signed
and nothing else, each refusal names its rule and stands in the log, and orders can still be cancelled."""

import json
import os
import unittest

import wire
from harness import EndToEnd

POLICY = """version = 1
[[client]]
name = "bot"
uid = "%d"
push_reference = true

[[rule]]
name = "quotes"
client = "bot"
key = "desk"
allow = ["class:read", "class:cancel", "class:session", "/v1/order/new"]
symbols = ["btcusd", "ethusd"]
order_types = ["exchange limit"]
options = ["maker-or-cancel"]
max_amount = { btcusd = "1", ethusd = "10" }
min_price = { btcusd = "20000", ethusd = "800" }
price_band = "10%%"
reference = { max_age = "1h" }
max_notional = { usd = "40000" }
window = [ { per = "1h", max_amount = { btcusd = "5", ethusd = "50" } } ]

[[rule]]
name = "sweeps to the desk's own address"
client = "bot"
key = "desk"
allow = ["/v2/withdraw/{network}/{ticker}", "/v1/withdraw/{currency}"]
addresses = [ { network = "bitcoin", ticker = "btc", address = "bc1qdesk" },
              { network = "xrpl", ticker = "xrp", address = "rDesk", memo = "104242" } ]
networks = { xrp = "xrpl" }
window = [ { per = "24h", max_amount = { btc = "2", xrp = "100" } } ]

[[rule]]
name = "clears with desk b"
client = "bot"
key = "desk"
allow = ["/v1/clearing/new"]
counterparties = ["DESK-B"]
symbols = ["btcusd"]
min_price = { btcusd = "20000" }

[[rule]]
name = "never"
client = "bot"
key = "desk"
deny = ["class:widen", "class:admin", "/v1/instant/execute", "/v1/staking/stake", "v1/staking/stake"]

[[rule]]
name = "moves between two accounts"
client = "bot"
key = "group"
allow = ["class:read", "class:cancel", "/v1/account/transfer/{currency}", "/v1/order/new"]
accounts = ["primary", "cold"]
"""

ORDER = {"request": "/v1/order/new", "symbol": "btcusd", "amount": "0.5", "price": "30000", "side": "buy",
         "type": "exchange limit", "options": ["maker-or-cancel"]}
XRP = {"request": "/v2/withdraw/xrpl/xrp", "address": "rDesk", "memo": "104242", "amount": "10"}
BTC = {"request": "/v2/withdraw/bitcoin/btc", "address": "bc1qdesk", "amount": "1"}
CLEARING = {"request": "/v1/clearing/new", "symbol": "btcusd", "amount": "1", "price": "30000", "side": "buy",
            "counterparty_id": "DESK-B"}
TRANSFER = {"request": "/v1/account/transfer/btc", "account": "primary", "sourceAccount": "primary",
            "targetAccount": "cold", "amount": "1"}


def less(payload, *members):
    return {name: value for name, value in payload.items() if name not in members}


QUOTES, SWEEPS, CLEARS, NEVER, MOVES = ("quotes", "sweeps to the desk's own address", "clears with desk b", "never",
                                        "moves between two accounts")
# What a thief would try, and the rule that refuses it; none where a guard does, which no rule can lift.
ATTACKS = [
    ("a foreign withdrawal by v2", "desk", {**BTC, "address": "bc1qthief"}, SWEEPS),
    ("the same address on another network", "desk", {**BTC, "request": "/v2/withdraw/ethereum/btc"}, SWEEPS),
    ("a foreign withdrawal by v1", "desk", {**XRP, "request": "/v1/withdraw/XRP", "address": "rThief"}, SWEEPS),
    ("a withdrawal by v1 of what no network is named for", "desk", {**BTC, "request": "/v1/withdraw/btc"}, SWEEPS),
    ("a foreign memo", "desk", {**XRP, "memo": "666"}, SWEEPS),
    ("no memo where the address has one", "desk", less(XRP, "memo"), SWEEPS),
    ("a memo where the address has none", "desk", {**BTC, "memo": "1"}, SWEEPS),
    ("more than the day's amount", "desk", {**BTC, "amount": "2.000000000000000001"}, SWEEPS),
    ("a bank account", "desk", {"request": "/v1/payments/addbank", "accountnumber": "1", "routing": "2",
                                "type": "checking", "name": "x"}, NEVER),
    ("a new approved address", "desk", {"request": "/v1/approvedAddresses/bitcoin/request", "address": "bc1qthief",
                                        "label": "x"}, NEVER),
    ("a new deposit address", "desk", {"request": "/v1/deposit/bitcoin/newAddress"}, NEVER),
    ("a stake", "desk", {"request": "/v1/staking/stake", "providerId": "p", "currency": "ETH", "amount": "1"}, NEVER),
    ("a stake as the documentation spells it", "desk", {"request": "v1/staking/stake", "providerId": "p",
                                                        "currency": "ETH", "amount": "1"}, NEVER),
    ("an open clearing order", "desk", less(CLEARING, "counterparty_id"), CLEARS),
    ("a clearing order with somebody else", "desk", {**CLEARING, "counterparty_id": "THIEF"}, CLEARS),
    ("a clearing order at a gift of a price", "desk", {**CLEARING, "side": "sell", "price": "0.01"}, CLEARS),
    ("an instant order with a card", "desk", {"request": "/v1/instant/execute", "symbol": "btcusd", "side": "buy",
                                              "quantity": "1", "fee": "0", "quoteId": 1,
                                              "paymentMethodType": "CardAccountType"}, NEVER),
    ("a market order", "desk", {**ORDER, "type": "exchange market"}, QUOTES),
    ("a price with a zero too many", "desk", {**ORDER, "price": "300000"}, QUOTES),
    ("a sell at 0.01", "desk", {**ORDER, "side": "sell", "price": "0.01"}, QUOTES),
    ("a sell below the band", "desk", {**ORDER, "side": "sell", "price": "26999.99"}, QUOTES),
    ("an amount with a zero too many", "desk", {**ORDER, "amount": "5"}, QUOTES),
    ("an amount with an exponent", "desk", '{"request":"/v1/order/new","symbol":"btcusd","amount":1e1,"price":30000,'
                                           '"side":"buy","type":"exchange limit"}', QUOTES),
    ("another symbol", "desk", {**ORDER, "symbol": "dogeusd"}, QUOTES),
    ("an order that takes", "desk", {**ORDER, "options": ["immediate-or-cancel"]}, QUOTES),
    ("a member that nobody knows", "desk", {**ORDER, "broker": "thief"}, QUOTES),
    ("prediction-market terms", "desk", {"request": "/v1/prediction-markets/terms/accept"}, NEVER),
    ("another account of the group", "group", {**TRANSFER, "targetAccount": "thief"}, MOVES),
    ("an order in another account", "group", {**ORDER, "account": "other"}, MOVES),
    ("a master key without an account", "group", ORDER, ""),
    ("a master key's cancel without an account", "group", {"request": "/v1/order/cancel/all"}, ""),
    ("an internal transfer with a key that sees one account", "desk", less(TRANSFER, "account"), ""),
    ("a prediction order", "desk", {"request": "/v1/prediction-markets/order", "symbol": "btcusd", "orderType": "limit",
                                    "side": "buy", "quantity": "1", "price": "30000", "outcome": "yes"}, ""),
]


class CompromisedBot(EndToEnd):
    workers = 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.at.import_key("desk", api_key="account-desk", roles="trader,fund_manager")
        cls.at.import_key("group", api_key="master-group", roles="trader,fund_manager", extra=("--scope", "master"))
        cls.at.ctl("down")
        with open(cls.at.file("policy.toml"), "w") as text:
            text.write(POLICY % os.getuid())
        cls.at.ctl("up")

    def setUp(self):
        self.bot = wire.Peer(self.at.socket)
        self.addCleanup(self.bot.socket.close)
        for symbol, price in (("btcusd", b"30000"), ("ethusd", b"1000")):
            self.bot.ask("push_reference", {1: symbol.encode(), 2: price})

    def ask(self, key, payload):
        text = payload if isinstance(payload, str) else json.dumps(payload)
        return self.bot.ask("sign_request", {1: key.encode(), 2: text.encode()})

    def assert_signed(self, answer, what=None):
        self.assertNotIn("code", answer, (what, answer.get("sentence")))

    def test_what_the_desk_does_is_signed_so_the_refusals_below_mean_something(self):
        for key, payload in (("desk", ORDER), ("desk", {**ORDER, "side": "sell", "price": "33000", "amount": "1"}),
                             ("desk", XRP), ("desk", BTC), ("desk", {**XRP, "request": "/v1/withdraw/XRP"}),
                             ("desk", CLEARING), ("group", TRANSFER), ("desk", {"request": "/v1/balances"})):
            self.assert_signed(self.ask(key, payload), payload)

    def test_each_attack_is_refused_with_the_rule_named_and_recorded(self):
        before = len(self.at.audit_records())
        for what, key, payload, rule in ATTACKS:
            with self.subTest(what):
                answer = self.ask(key, payload)
                # Without showing the answer: where that is no error it is a signature.
                self.assertTrue("code" in answer, "signed")
                self.assertIn(answer["code"], ("denied", "rate_limited"))
                if rule:
                    self.assertIn('"%s"' % rule, answer["sentence"])
                self.assert_signed(self.ask("desk", {"request": "/v1/order/cancel/all"}), "cancel")
        records = [record for record in self.at.audit_records()[before:] if record.get("verdict") == "refuse"]
        self.assertEqual([record["rule"] for record in records], [attack[3] for attack in ATTACKS])
        for record in records:
            self.assertTrue(record["sentence"] and record["endpoint"] and record["client"] == "bot", record)

    def test_a_thousand_small_orders_end_with_the_window(self):
        order = {**ORDER, "symbol": "ethusd", "amount": "0.1", "price": "1000"}
        answers = [self.ask("desk", order) for _ in range(1000)]
        self.assertEqual(sum("code" not in answer for answer in answers), 500)
        refused = answers[-1]
        self.assertEqual(refused["code"], "rate_limited")
        self.assertIn('"quotes" allows at most 50 in 1h (amount of ethusd)', refused["sentence"])
        self.assertGreater(refused["retry_after_ms"], 3_000_000)
        self.assert_signed(self.ask("desk", {"request": "/v1/order/cancel", "order_id": 1}))

        # The log brings the window back.
        for pid in self.at.pids("signerd"):
            os.kill(pid, 9)
        self.at.ctl("down")
        self.at.ctl("up")
        self.setUp()
        self.assertEqual(self.ask("desk", order).get("code"), "rate_limited")
        self.assert_signed(self.ask("desk", {**ORDER, "amount": "0.1"}))

    def test_a_stranger_pushes_no_reference(self):
        with open(self.at.file("policy.toml")) as text:
            self.assertIn("push_reference = true", text.read())
        directory = self.own()  # The development policy: nobody may.
        with wire.Peer(directory.socket) as peer:
            self.assertEqual(peer.ask("push_reference", {1: b"btcusd", 2: b"1"})["code"], "denied")


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""What Gemini documents, asked of gemini-sim over real HTTP: vectors, reasons with their HTTP status, roles.

Usage: gemini_sim_contract_e2e.py PATH/TO/gemini-sim

Against the exchange itself these are the promises that a client builds upon; each row says what the documentation
says, and a reason that gemini-sim knows without a row here fails the suite.
"""
import base64
import json
import pathlib
import re
import unittest

import client
from client import SECRET, Client, Sim, sign

TOP = pathlib.Path(__file__).resolve().parents[3]
COLD = "mi98Z9brJ3TgaKsmvXatuRahbFRUFKRUdR"
KEYS = """
[[key]]
id = "account-trader"
secret = "conformance-api-secret"
roles = ["trader"]
[[key]]
id = "account-documented"
secret = "1234abcd"
roles = ["trader"]
[[key]]
id = "account-funds"
secret = "conformance-api-secret"
roles = ["fund_manager"]
[[key]]
id = "account-auditor"
secret = "conformance-api-secret"
roles = ["auditor"]
[[key]]
id = "account-seconds"
secret = "conformance-api-secret"
roles = ["trader"]
nonce = "time-based"
[[key]]
id = "account-elsewhere"
secret = "conformance-api-secret"
roles = ["trader"]
trusted_ips = ["192.0.2.0/24"]
[[key]]
id = "account-trusted"
secret = "conformance-api-secret"
roles = ["fund_manager"]
trusted_ips = ["127.0.0.1"]
[[key]]
id = "master-ops"
secret = "conformance-api-secret"
roles = ["trader", "fund_manager"]
scope = "master"
[[key]]
id = "master-admin"
secret = "conformance-api-secret"
roles = ["administrator"]
scope = "master"
[[account]]
name = "savings"
[[account]]
name = "unlisted"
approved_list = false
[[approved]]
network = "bitcoin"
address = "%s"
""" % COLD

# Name, secret, payload header, signature header: Gemini's own example, and the values that its conformance fixtures
# give with the fixtures' credentials; those of one key by rising nonce.
VECTORS = [
    ("V1", "1234abcd",
     "ewogICAgInJlcXVlc3QiOiAiL3YxL29yZGVyL3N0YXR1cyIsCiAgICAibm9uY2UiOiAxMjM0NTYsCgogICAgIm9yZGVyX2lkIjogMTg4MzQKfQo=",
     "337cc8b4ea692cfe65b4a85fcc9f042b2e3f702ac956fd098d600ab15705775017beae402be773ceee10719ff70d710f"),
    ("V3", SECRET,
     "eyJyZXF1ZXN0IjoiL3YxL29yZGVyL25ldyIsIm5vbmNlIjoiMTcwMDAwMDAwMCIsImNsaWVudF9vcmRlcl9pZCI6InQtMSIsInN5bWJvbCI6ImJ0"
     "Y3VzZCIsImFtb3VudCI6IjAuMDEiLCJwcmljZSI6IjEwMDAuMDAiLCJzaWRlIjoiYnV5IiwidHlwZSI6ImV4Y2hhbmdlIGxpbWl0Iiwib3B0aW9u"
     "cyI6WyJtYWtlci1vci1jYW5jZWwiXX0=",
     "25e02a20af959bb7f37fb74db2eaf03b7dffa8acc5e67dfb8d24b8ab9450d49fe053b578a39dea91c9c38629d8778eb2"),
    ("V5", SECRET,
     "eyJyZXF1ZXN0IjogIi92MS9iYWxhbmNlcyIsICJub25jZSI6IDE3MDAwMDAwMDAuMDAwMDAxfQ==",
     "244fa10336bd67257a03147a59ad4931be997d7c8347ffcdf0b74449b1257df70cd47ba56086bb64a10b480ff34681e9"),
    ("V2", SECRET,
     "eyJyZXF1ZXN0IjoiL3YxL2JhbGFuY2VzIiwibm9uY2UiOjE3MDAwMDAwMDAwMDAsImFjY291bnQiOiJwcmltYXJ5In0=",
     "82faa56c051276fb51f65045585036d1ff3ac0ab2393506d3a070bcfa60754fb1b54ef912dda417ff31a0fc9e0ada5e2"),
    ("V6", "1234abcd", "eyJyZXF1ZXN0IjoiL3YxL29yZGVyL2V2ZW50cyIsIm5vbmNlIjoxMjM0NTZ9",
     "f755c043024b70144538984023ac5314149e4406123014b31158346ce5e1fa0c44ed6a13730d81bfb91fa14e6c172eb6"),
]

ORDER = {"symbol": "btcusd", "amount": "0.01", "price": "1000.00", "side": "buy", "type": "exchange limit"}
WITHDRAW = {"address": COLD, "amount": "1"}
TRANSFER = {"sourceAccount": "primary", "targetAccount": "savings", "amount": "1"}


def without(members, name):
    return {key: value for key, value in members.items() if key != name}


# Reason, HTTP status, key, path, members beside request and nonce.
CALLS = [
    ("ApiKeyIpFilteringFailure", 403, "account-elsewhere", "/v1/heartbeat", {}),
    ("ApiKeyIpFilteringFailure", 403, "account-funds", "/v1/approvedAddresses/bitcoin/request",
     {"address": "a", "label": "b"}),
    ("ClientOrderIdMustBeString", 400, "account-trader", "/v1/order/new", {**ORDER, "client_order_id": 7}),
    ("ClientOrderIdTooLong", 400, "account-trader", "/v1/order/new", {**ORDER, "client_order_id": "x" * 101}),
    ("ConflictingAccountName", 400, "master-ops", "/v1/account/transfer/btc",
     {**TRANSFER, "targetAccount": "primary"}),
    ("ConflictingOptions", 400, "account-trader", "/v1/order/new",
     {**ORDER, "options": ["maker-or-cancel", "fill-or-kill"]}),
    ("CryptoAddressWhitelistsNotEnabled", 400, "master-ops", "/v1/withdraw/btc", {**WITHDRAW, "account": "unlisted"}),
    ("CryptoAddressWhitelistsNotEnabled", 400, "account-funds", "/v1/withdraw/btc", {**WITHDRAW, "address": "thief"}),
    ("CryptoAddressWhitelistsNotEnabled", 400, "account-funds", "/v2/withdraw/bitcoin/btc",
     {**WITHDRAW, "address": "thief"}),
    ("EndpointMismatch", 400, "account-trader", "/v1/orders", {"request": "/v1/balances"}),
    ("EndpointNotFound", 404, "account-trader", "/v1/order/events", {}),
    ("InsufficientFunds", 406, "account-trader", "/v1/order/new", {**ORDER, "amount": "100000", "price": "100000"}),
    ("InsufficientFunds", 406, "account-funds", "/v1/withdraw/btc", {**WITHDRAW, "amount": "1001"}),
    ("InsufficientFunds", 406, "account-funds", "/v2/withdraw/bitcoin/btc", {**WITHDRAW, "amount": "1001"}),
    ("InsufficientFunds", 406, "master-ops", "/v1/account/transfer/btc", {**TRANSFER, "amount": "1001"}),
    ("InvalidApiKey", 400, "account-nobody", "/v1/orders", {}),
    ("InvalidJson", 400, "account-trader", "/v1/mytrades", {"limit_trades": "many"}),
    ("InvalidJson", 400, "account-auditor", "/v1/orders/history", {"limit_orders": 0}),
    ("InvalidJson", 400, "account-auditor", "/v2/transfers", {"limit_transfers": "all"}),
    ("InvalidNonce", 400, "account-trader", "/v1/orders", {"nonce": 1}),
    ("InvalidNonce", 400, "account-seconds", "/v1/orders", {"nonce": 1_700_000_000_000}),
    ("InvalidOrderType", 400, "account-trader", "/v1/order/new", {**ORDER, "type": "exchange iceberg"}),
    ("InvalidPrice", 400, "account-trader", "/v1/order/new", {**ORDER, "price": "0.001"}),
    ("InvalidQuantity", 400, "account-trader", "/v1/order/new", {**ORDER, "amount": "-1"}),
    ("InvalidQuantity", 400, "account-funds", "/v1/withdraw/btc", {**WITHDRAW, "amount": "-1"}),
    ("InvalidSide", 400, "account-trader", "/v1/order/new", {**ORDER, "side": "hold"}),
    ("InvalidSymbol", 400, "account-trader", "/v1/order/new", {**ORDER, "symbol": "nosuch"}),
    ("InvalidTimestampInPayload", 400, "account-trader", "/v1/mytrades", {"timestamp": "yesterday"}),
    ("InvalidTimestampInPayload", 400, "account-auditor", "/v1/transfers", {"timestamp": -1}),
    ("MissingAccounts", 400, "master-ops", "/v1/balances", {}),
    ("MissingAccounts", 400, "master-ops", "/v1/account/transfer/btc", {**TRANSFER, "sourceAccount": "nobody"}),
    ("MissingNonce", 400, "account-trader", "/v1/orders", {"nonce": None}),
    ("MissingOrderField", 400, "account-trader", "/v1/order/new", without(ORDER, "symbol")),
    ("MissingOrderField", 400, "account-funds", "/v1/withdraw/btc", without(WITHDRAW, "address")),
    ("MissingRole", 403, "account-auditor", "/v1/order/new", ORDER),
    ("MissingRole", 403, "account-trader", "/v1/withdraw/btc", WITHDRAW),
    ("MissingRole", 403, "account-funds", "/v1/account/transfer/btc", TRANSFER),
    ("OptionsMustBeArray", 400, "account-trader", "/v1/order/new", {**ORDER, "options": "fill-or-kill"}),
    ("OrderNotFound", 404, "account-trader", "/v1/order/status", {"order_id": 18834}),
    ("OrderNotFound", 404, "account-trader", "/v1/order/cancel", {"order_id": "18834"}),
    ("UnsupportedNetwork", 404, "account-funds", "/v2/withdraw/foochain/btc", WITHDRAW),
    ("UnsupportedNetwork", 404, "account-funds", "/v2/withdraw/ethereum/btc", WITHDRAW),
    ("UnsupportedNetwork", 404, "account-trader", "/v1/addresses/foochain", {}),
    ("UnsupportedNetwork", 404, "account-auditor", "/v2/transfers", {"network": "foochain"}),
    ("UnsupportedOption", 400, "account-trader", "/v1/order/new", {**ORDER, "options": ["auction-only"]}),
]
# Reasons that take more than one call with a payload, and the test that takes it.
BY_HAND = {
    "InvalidSignature": "test_headers_and_signature",
    "MissingApikeyHeader": "test_headers_and_signature",
    "MissingPayloadHeader": "test_headers_and_signature",
    "MissingSignatureHeader": "test_headers_and_signature",
    "RateLimit": "test_twenty_requests_at_once (gemini_sim_limits_e2e.py)",
    "System": "test_the_exchanges_own_trouble (gemini_sim_limits_e2e.py)",
}

T, F, A = "account-trader", "account-funds", "account-auditor"
M, ADMIN = "master-ops", "master-admin"
# Path, keys whose role may (Gemini documentation, "Roles" of each endpoint).
ROLES = [
    ("/v1/order/new", {T, M}), ("/v1/order/cancel", {T, M}), ("/v1/order/cancel/all", {T, M}),
    ("/v1/order/cancel/session", {T, M}), ("/v1/order/status", {T, M}), ("/v1/orders", {T, A, M}),
    ("/v1/orders/history", {T, A, M}), ("/v1/transfers", {T, F, A, M}), ("/v2/transfers", {T, F, A, M}),
    ("/v1/mytrades", {T, A, M}), ("/v1/balances", {T, F, A, M}), ("/v1/heartbeat", {T, F, A, M, ADMIN}),
    ("/v1/roles", {T, F, A, M, ADMIN}), ("/v1/withdraw/btc", {F, M}), ("/v2/withdraw/bitcoin/btc", {F, M}),
    ("/v1/addresses/bitcoin", {T, F, A, M}), ("/v1/deposit/bitcoin/newAddress", {F, M}),
    ("/v1/approvedAddresses/account/bitcoin", {T, F, A, M, ADMIN}),
    ("/v1/approvedAddresses/bitcoin/remove", {F, M}), ("/v1/approvedAddresses/bitcoin/request", {F, M}),
    ("/v1/account/list", {M, ADMIN}), ("/v1/account/transfer/btc", {M}),
]


class Contract(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sim = Sim(KEYS)
        cls.addClassCleanup(cls.sim.clean_up)

    def as_key(self, key, **how):
        return Client(self.sim, key, **how)

    def refused(self, answer, status, reason):
        self.assertEqual((answer.status, answer.body.get("result"), answer.reason), (status, "error", reason),
                         answer.text)
        self.assertEqual(set(answer.body), {"result", "reason", "message"})
        self.assertTrue(answer.body["message"])

    def test_vectors_have_the_documented_signature_and_pass(self):
        sim = Sim(KEYS)  # Their nonces are low.
        self.addCleanup(sim.clean_up)
        for name, secret, text, signature in VECTORS:
            with self.subTest(name):
                payload = base64.b64decode(text).decode()
                self.assertTrue(sign(payload, secret) == (text, signature), "another signature than documented")
                key = "account-documented" if secret == "1234abcd" else "account-trader"
                path = json.loads(payload)["request"]
                answer = Client(sim, key, secret).raw(path, payload)
                expected = {"V1": (404, "OrderNotFound"), "V6": (404, "EndpointNotFound")}.get(name, (200, None))
                self.assertEqual((answer.status, answer.reason), expected, answer.text)

    def test_each_documented_reason_comes_with_its_status(self):
        for reason, status, key, path, members in CALLS:
            with self.subTest(reason, key=key, path=path):
                self.refused(self.as_key(key).call(path, **members), status, reason)

    def test_headers_and_signature(self):
        desk = self.as_key("account-trader")
        headers = desk.headers(desk.payload("/v1/orders", {}))
        for name, status, reason in [("X-GEMINI-APIKEY", 401, "MissingApikeyHeader"),
                                     ("X-GEMINI-PAYLOAD", 400, "MissingPayloadHeader"),
                                     ("X-GEMINI-SIGNATURE", 400, "MissingSignatureHeader")]:
            with self.subTest(name):
                self.refused(desk.send("/v1/orders", without(headers, name)), status, reason)
        wrong = {**headers, "X-GEMINI-SIGNATURE": "0" * 96}
        self.refused(desk.send("/v1/orders", wrong), 400, "InvalidSignature")
        self.assertEqual(desk.send("/v1/orders", headers).status, 200)

    def test_messages_that_clients_match_are_verbatim(self):
        desk = self.as_key("account-trader")
        for answer, message in [
                (desk.send("/v1/orders", {}), "Must provide 'X-GEMINI-APIKEY' header"),
                (desk.call("/v1/orders", nonce=1),
                 "Nonce '1' has not increased since your last call to the Gemini API."),
                (self.as_key("account-elsewhere").call("/v1/heartbeat"),
                 "ApiKey fails IP Filtering Check for some accounts")]:
            self.assertEqual(answer.body["message"], message)
        late = self.as_key("account-seconds").call("/v1/orders", nonce=1_700_000_000).body["message"]
        self.assertRegex(late, r"^Nonce '1700000000' is not within 30 seconds of server time '\d{10}''$")

    def test_no_reason_is_without_a_case(self):
        source = (TOP / "hsm_signer/sim/refusal.cc").read_text(encoding="utf-8")
        known = set(re.findall(r'Row\{Reason::\w+, "(\w+)", \d+\}', source))
        self.assertGreater(len(known), 30)
        self.assertEqual(known, {row[0] for row in CALLS} | set(BY_HAND))

    def test_no_endpoint_is_without_a_row_of_roles(self):
        source = (TOP / "hsm_signer/sim/endpoints.cc").read_text(encoding="utf-8")
        known = set(re.findall(r'\{"(/v\d/[^"]+)"', source))
        filled = {re.sub(r"\{currency\}|\{ticker\}", "btc", path).replace("{network}", "bitcoin") for path in known}
        self.assertEqual(filled, {path for path, _ in ROLES})

    def test_roles_open_what_the_documentation_says_and_nothing_else(self):
        for path, allowed in ROLES:
            for key in (T, F, A, M, ADMIN):
                with self.subTest(path, key=key):
                    answer = self.as_key(key).call(path, account="primary")
                    self.assertEqual((answer.status, answer.reason) != (403, "MissingRole"), key in allowed,
                                     answer.text)

    def test_roles_are_told_to_the_key(self):
        self.assertEqual(self.as_key("account-trader").call("/v1/roles").body,
                         {"isAuditor": False, "isFundManager": False, "isTrader": True})
        admin = self.as_key("master-admin").call("/v1/roles").body
        self.assertEqual((admin["isAccountAdmin"], admin["isTrader"]), (True, False))

    def test_an_unknown_path_is_refused_by_get_too(self):
        answer = self.as_key("account-trader").send("/v1/nosuch", {}, method="GET")
        self.refused(answer, 404, "EndpointNotFound")

    def test_the_keys_files_of_the_manual_are_taken(self):
        manual = (TOP / "docs/gemini-sim.md").read_text(encoding="utf-8")
        files = re.findall(r"(\[\[key\]\]\n.*?)(?:EOF|```)", manual, re.S)
        self.assertEqual(len(files), 2)
        for keys in files:
            sim = Sim(keys)
            self.addCleanup(sim.clean_up)
            name = re.search(r'id = "([^"]+)"', keys)[1]
            self.assertEqual(Client(sim, name, "1234abcd").call("/v1/heartbeat").status, 200)

    def test_public_market_data_needs_no_key(self):
        desk = self.as_key("nobody")
        self.assertIn("btcusd", desk.send("/v1/symbols", {}, method="GET").body)
        details = desk.send("/v1/symbols/details/btcusd", {}, method="GET").body
        self.assertEqual((details["symbol"], details["quote_increment"], details["min_order_size"]),
                         ("BTCUSD", 0.01, "0.00001"))


if __name__ == "__main__":
    client.take_program()
    unittest.main()

#!/usr/bin/env python3
"""gemini-sim where an exchange is unpleasant: rate limits, trusted IPs, time, and faults to order, over real sockets.

Usage: gemini_sim_limits_e2e.py PATH/TO/gemini-sim
"""
import http.client
import json
import os
import socket
import stat
import subprocess
import tempfile
import time
import unittest

import client
from client import Client, Sim

COLD = "bc1-cold"
KEYS = """
[[key]]
id = "account-trader"
secret = "conformance-api-secret"
roles = ["trader"]
[[key]]
id = "account-seconds"
secret = "conformance-api-secret"
roles = ["trader"]
nonce = "time-based"
[[key]]
id = "account-beating"
secret = "conformance-api-secret"
roles = ["trader"]
heartbeat = true
[[key]]
id = "account-funds"
secret = "conformance-api-secret"
roles = ["fund_manager"]
trusted_ips = ["127.0.0.2", "127.1.0.0/16"]
[[approved]]
network = "bitcoin"
address = "%s"
""" % COLD
ORDER = {"symbol": "btcusd", "amount": "0.5", "price": "30000.00", "side": "buy", "type": "exchange limit"}
UUID = "AA97B177-9383-4934-8543-0F91A7A02838"


class Case(unittest.TestCase):
    def start(self, *options, control=False):
        sim = Sim(KEYS, *options, control=control)
        self.addCleanup(sim.clean_up)
        return sim

    def order(self, sim, **fault):
        status, answer = sim.control("POST", "/faults", fault)
        self.assertEqual(status, 200, answer)

    def refused(self, answer, status, reason):
        self.assertEqual((answer.status, answer.reason), (status, reason), answer.text)

    def live(self, sim):
        return [int(order["order_id"]) for order in Client(sim, "account-trader").call("/v1/orders").body]


class Limits(Case):
    def burst(self, sim, count=100):
        """That many requests at once, each on a connection of its own: their answers, and the time they took."""
        desk = Client(sim, "account-seconds")  # Its nonces may repeat, so order of arrival does not matter.
        text = "".join("%s: %s\r\n" % pair for pair in desk.headers(
            json.dumps({"request": "/v1/heartbeat", "nonce": int(time.time())})).items())
        wire = ("POST /v1/heartbeat HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n" + text + "\r\n").encode()
        lines = [socket.create_connection(("127.0.0.1", sim.port), timeout=60) for _ in range(count)]
        begin = time.monotonic()
        for line in lines:
            line.sendall(wire)
        answers = []
        for line in lines:
            with line:
                response = http.client.HTTPResponse(line)
                response.begin()
                answers.append((response.status, response.getheader("Retry-After"), json.loads(response.read())))
        return answers, time.monotonic() - begin

    def test_twenty_requests_at_once(self):
        """Ten and five more are served, whatever was sent; a slow machine earns one more each 0.1 s."""
        answers, took = self.burst(self.start("--rate-limits"))
        served = sum(status == 200 for status, _, _ in answers)
        self.assertGreaterEqual(served, 15)
        self.assertLessEqual(served, 15 + int(took / 0.1) + 1)
        refused = [row for row in answers if row[0] != 200]
        self.assertGreater(len(refused), 0)
        for status, retry_after, body in refused:
            self.assertEqual((status, body["reason"]), (429, "RateLimit"))
            self.assertGreaterEqual(int(retry_after), 1)
        self.assertGreaterEqual(took, 0.5)  # The last of the five that were queued had to wait.

    def test_without_the_flag_nobody_is_limited(self):
        answers, _ = self.burst(self.start())  # One at a time would be slowed down, and never refused.
        self.assertEqual({status for status, _, _ in answers}, {200})

    def test_trusted_ips_are_those_of_the_socket(self):
        sim = self.start()
        for source, status in [("127.0.0.1", 403), ("127.0.0.2", 200), ("127.0.0.3", 403), ("127.1.2.3", 200)]:
            with self.subTest(source):
                answer = Client(sim, "account-funds", source=source).call("/v1/heartbeat")
                self.assertEqual(answer.status, status)
                if status == 403:
                    self.refused(answer, 403, "ApiKeyIpFilteringFailure")
        over_unix = Client(sim, "account-funds", unix=True).call("/v1/heartbeat")
        self.refused(over_unix, 403, "ApiKeyIpFilteringFailure")  # It has no address.
        self.assertEqual(Client(sim, "account-trader", unix=True).call("/v1/heartbeat").status, 200)


class Time(Case):
    def test_a_lost_heartbeat_cancels_the_orders_of_its_key(self):
        sim = self.start(control=True)
        beating, trader = Client(sim, "account-beating"), Client(sim, "account-trader")
        first = int(beating.call("/v1/order/new", **ORDER).body["order_id"])
        second = int(trader.call("/v1/order/new", **ORDER).body["order_id"])
        sim.control("POST", "/clock", {"advance_ms": 20_000})
        self.assertEqual(beating.call("/v1/heartbeat").body, {"result": "ok"})
        sim.control("POST", "/clock", {"advance_ms": 20_000})
        self.assertEqual(self.live(sim), [first, second])
        sim.control("POST", "/clock", {"advance_ms": 11_000})
        self.assertEqual(self.live(sim), [second])
        gone = trader.call("/v1/order/status", order_id=first).body
        self.assertEqual((gone["is_cancelled"], gone["reason"]), (True, "HeartbeatLost"))

    def test_an_approved_address_waits_seven_days(self):
        sim = self.start(control=True)
        funds = Client(sim, "account-funds", source="127.0.0.2")
        self.assertEqual(funds.call("/v1/approvedAddresses/bitcoin/request", address="bc1-new", label="n").status, 200)
        self.refused(funds.call("/v1/withdraw/btc", address="bc1-new", amount="1"), 400,
                     "CryptoAddressWhitelistsNotEnabled")
        sim.control("POST", "/clock", {"advance_ms": 7 * 24 * 3600 * 1000})
        self.assertEqual(funds.call("/v1/withdraw/btc", address="bc1-new", amount="1").status, 200)

    def test_time_based_nonces_are_judged_by_the_clock_that_was_moved(self):
        sim = self.start(control=True)
        desk = Client(sim, "account-seconds")
        self.assertEqual(desk.call("/v1/heartbeat", nonce=int(time.time())).status, 200)
        sim.control("POST", "/clock", {"advance_ms": 3_600_000})
        self.refused(desk.call("/v1/heartbeat", nonce=int(time.time())), 400, "InvalidNonce")
        self.assertEqual(desk.call("/v1/heartbeat", nonce=int(time.time()) + 3600).status, 200)


class Faults(Case):
    def setUp(self):
        self.sim = self.start(control=True)
        self.desk = Client(self.sim, "account-trader")

    def test_the_exchanges_own_trouble(self):
        for status, reason in [(429, "RateLimit"), (500, "System"), (502, "System"), (503, "Maintenance")]:
            with self.subTest(status):
                self.order(self.sim, fault="error", status=status, retry_after=3)
                answer = self.desk.call("/v1/order/new", **ORDER)
                self.refused(answer, status, reason)
                self.assertEqual(answer.headers["Retry-After"], "3")
        self.assertEqual(self.live(self.sim), [])

    def test_a_connection_closed_before_anything_was_done(self):
        self.order(self.sim, fault="close", path="/v1/order/new")
        with self.assertRaises(http.client.RemoteDisconnected):
            self.desk.call("/v1/order/new", **ORDER)
        self.assertEqual(self.live(self.sim), [])

    def test_an_order_placed_without_an_answer_is_found_by_its_client_order_id(self):
        self.order(self.sim, fault="close", handled=True)
        with self.assertRaises(http.client.RemoteDisconnected):
            self.desk.call("/v1/order/new", client_order_id="mine-1", **ORDER)
        found = self.desk.call("/v1/order/status", client_order_id="mine-1").body
        self.assertEqual([order["original_amount"] for order in found], ["0.5"])

    def test_a_withdrawal_without_an_answer_repeats_under_its_id_and_happens_once(self):
        funds = Client(self.sim, "account-funds", source="127.0.0.2")
        self.order(self.sim, fault="close", handled=True, path="/v2/withdraw/bitcoin/btc")
        wanted = {"address": COLD, "amount": "1.5", "clientTransferId": UUID}
        with self.assertRaises(http.client.RemoteDisconnected):
            funds.call("/v2/withdraw/bitcoin/btc", **wanted)
        self.assertEqual(funds.call("/v2/withdraw/bitcoin/btc", **wanted).body["amount"], "1.5")
        btc = [row for row in funds.call("/v1/balances").body if row["currency"] == "BTC"]
        self.assertEqual(btc[0]["available"], "998.5")

    def test_answers_cut_in_their_body(self):
        for at in ("before-body", "inside-body"):
            with self.subTest(at):
                self.order(self.sim, fault="close", at=at)
                with self.assertRaises(http.client.IncompleteRead) as caught:
                    self.desk.call("/v1/balances")
                self.assertEqual(caught.exception.partial == b"", at == "before-body")

    def test_a_whole_answer_on_a_connection_that_dies_unannounced(self):
        self.order(self.sim, fault="close", at="after-body")
        connection = self.sim.connect()
        answer = self.desk.call("/v1/heartbeat", connection=connection)
        self.assertEqual((answer.body, answer.headers["Connection"]), ({"result": "ok"}, None))
        self.assertEqual(connection.sock.recv(1), b"")
        connection.close()

    def test_json_that_is_none(self):
        self.order(self.sim, fault="bad-json")
        with self.assertRaises(json.JSONDecodeError):
            self.desk.call("/v1/balances")
        self.assertEqual(self.desk.call("/v1/balances").status, 200)

    def test_a_late_answer_holds_nobody_else_up(self):
        self.order(self.sim, fault="delay", delay_ms=2_000, path="/v1/balances")
        late = self.sim.connect()
        begin = time.monotonic()
        late.request("POST", "/v1/balances", headers=self.desk.headers(self.desk.payload("/v1/balances", {})))
        self.assertEqual(self.desk.call("/v1/heartbeat").status, 200)
        late.sock.setblocking(False)
        with self.assertRaises(BlockingIOError):
            late.sock.recv(1, socket.MSG_PEEK)  # The other request was answered first.
        late.sock.settimeout(20)
        self.assertEqual(late.getresponse().status, 200)
        self.assertGreaterEqual(time.monotonic() - begin, 2)
        late.close()

    def test_a_nonce_refused_for_no_reason_is_not_spent(self):
        self.order(self.sim, fault="nonce")
        payload = self.desk.payload("/v1/heartbeat", {})
        self.refused(self.desk.raw("/v1/heartbeat", payload), 400, "InvalidNonce")
        self.assertEqual(self.desk.raw("/v1/heartbeat", payload).status, 200)

    def test_the_journal_tells_what_was_spoilt_and_what_really_happened(self):
        self.order(self.sim, fault="error", path="/v1/order/new")
        self.order(self.sim, fault="close", handled=True, path="/v1/order/new")
        self.desk.call("/v1/order/new", **ORDER)
        with self.assertRaises(http.client.RemoteDisconnected):
            self.desk.call("/v1/order/new", **ORDER)
        told = [(row["verdict"], row["status"], row["fault"]) for row in self.sim.journal()]
        self.assertEqual(told, [("untouched", 503, "error"), ("accepted", None, "close")])

    def test_a_fill_shows_in_the_trades(self):
        number = int(self.desk.call("/v1/order/new", **ORDER).body["order_id"])
        status, trade = self.sim.control("POST", "/fill", {"order_id": number, "amount": "0.2"})
        self.assertEqual((status, trade["amount"], trade["type"]), (200, "0.2", "Buy"))
        self.assertEqual(self.desk.call("/v1/mytrades", symbol="btcusd").body, [trade])


class ControlSocket(Case):
    def test_without_the_flag_there_is_no_control(self):
        sim = self.start()
        for path in ("/faults", "/clock", "/fill"):
            for unix in (False, True):
                answer = Client(sim, "account-trader", unix=unix).send(path, {})
                self.refused(answer, 404, "EndpointNotFound")

    def test_with_it_only_its_own_socket_takes_control(self):
        sim = self.start(control=True)
        for unix in (False, True):
            answer = Client(sim, "account-trader", unix=unix).send("/faults", {})
            self.refused(answer, 404, "EndpointNotFound")
        self.assertEqual(sim.control("GET", "/faults"), (200, []))
        self.assertEqual(sim.control("POST", "/v1/heartbeat")[0], 404)

    def test_only_its_owner_may_connect(self):
        sim = self.start(control=True)
        target = sim.path("control")
        self.assertEqual(stat.S_IMODE(os.stat(target).st_mode), 0o600)
        if os.getuid() != 0:
            self.skipTest("only root can try as somebody else")
        os.chmod(os.path.dirname(target), 0o755)  # So that it is the socket's mode that refuses.
        code = ("import socket, sys\ntry:\n    socket.socket(socket.AF_UNIX).connect(sys.argv[1])\n"
                "except PermissionError:\n    print('refused')\n")
        done = subprocess.run(["python3", "-c", code, target], user=65534, group=65534, extra_groups=[], timeout=30,
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.stdout, "refused\n", done.stderr)

    def test_control_and_exchange_cannot_share_a_socket(self):
        with tempfile.TemporaryDirectory() as directory:
            keys = os.path.join(directory, "keys.toml")
            with open(keys, "w") as file:
                file.write(KEYS)
            path = os.path.join(directory, "s")
            done = subprocess.run([client.PROGRAM, "--keys", keys, "--unix", path, "--control", path],
                                  capture_output=True, text=True, timeout=10, check=False)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("two sockets", done.stderr)


if __name__ == "__main__":
    client.take_program()
    unittest.main()

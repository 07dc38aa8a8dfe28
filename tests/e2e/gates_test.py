"""Gates: many clients share one key, and its exchange refuses each nonce that comes late. HSM_GATE_CLIENTS and
HSM_GATE_REQUESTS make more of it."""

import json
import multiprocessing
import os
import threading
import time
import unittest

import wire
from exchange import Exchange
from harness import SECRET, EndToEnd, wait_until

CLIENTS = int(os.environ.get("HSM_GATE_CLIENTS", "24"))
REQUESTS = int(os.environ.get("HSM_GATE_REQUESTS", "25"))
PROCESSES = 4
KEYS = '[[key]]\nid = "account-desk"\nsecret = "%s"\nroles = ["trader"]\n' % SECRET
BALANCES = {"request": "/v1/balances"}
ENTER = {1: b"desk"}


class Client:
    """A trading program: its own connection to the signer and its own to the exchange."""

    def __init__(self, at, sim, gate=True):
        self.path, self.sim, self.gate = at.socket, sim, gate
        self.connection = sim.connect()
        self.peer = wire.Peer(self.path, timeout=60)

    def close(self):
        self.peer.socket.close()
        self.connection.close()

    def greet_again(self):
        """The signer was killed: as a program would, until it is back."""
        self.peer.socket.close()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                self.peer = wire.Peer(self.path, timeout=60)
                return
            except (OSError, wire.Closed, AssertionError):
                time.sleep(0.05)
        raise AssertionError("the signer did not come back")

    def request(self):
        """(status, reason) of the exchange; nothing where the signer went away before anything was sent."""
        try:
            if self.gate:
                entered = self.peer.ask("gate_enter", {**ENTER, 3: wire.u32(60_000)})
                assert "code" not in entered, entered
            answer = self.peer.ask("sign_request", {1: b"desk", 2: json.dumps(BALANCES).encode(), 3: wire.u32(30_000)})
        except (OSError, wire.Closed):
            return self.greet_again()
        if "code" in answer:
            raise AssertionError(answer["code"])
        headers = ("X-GEMINI-APIKEY", "X-GEMINI-PAYLOAD", "X-GEMINI-SIGNATURE")
        taken = self.sim.send(BALANCES, {"headers": {name: answer[tag].decode() for tag, name in enumerate(headers, 1)}},
                              self.connection)
        if self.gate:
            try:
                left = self.peer.ask("gate_leave", ENTER)
                assert "code" not in left, left
            except (OSError, wire.Closed):
                self.greet_again()
        return taken.status, taken.reason


def trade(at, sim, gate, clients, requests, results):
    """One process of `clients` threads."""
    seen = []

    def run():
        client = Client(at, sim, gate)
        try:
            for _ in range(requests):
                seen.append(client.request())
        except BaseException as error:  # Told to the test: a thread would only print it.
            seen.append(("failed", repr(error)))
        finally:
            client.close()

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put(seen)


class Gates(EndToEnd):
    workers = 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.at.import_key("desk", api_key="account-desk")

    def setUp(self):
        self.sim = Exchange(KEYS)
        self.addCleanup(self.sim.clean_up)

    def peer(self):
        peer = wire.Peer(self.at.socket)
        self.addCleanup(peer.socket.close)
        return peer

    def all_trade(self, gate, meanwhile=lambda: None):
        results = multiprocessing.Queue()
        processes = [multiprocessing.Process(target=trade, args=(self.at, self.sim, gate, CLIENTS // PROCESSES, REQUESTS,
                                                                 results)) for _ in range(PROCESSES)]
        for process in processes:
            process.start()
        meanwhile()
        seen = [one for _ in processes for one in results.get(timeout=600)]
        for process in processes:
            process.join()
        return seen

    def test_without_gates_the_exchange_refuses_what_comes_late_and_with_them_nothing(self):
        without = self.all_trade(gate=False)
        late = sum(one == (400, "InvalidNonce") for one in without)
        self.assertEqual(len(without) - late, sum(one == (200, None) for one in without), without)
        begun = time.monotonic()
        seen = self.all_trade(gate=True)
        took = time.monotonic() - begun
        self.assertEqual([one for one in seen if one != (200, None)], [])
        self.assertEqual(len(seen), CLIENTS // PROCESSES * PROCESSES * REQUESTS)
        print("\n%d requests of %d clients on one key: InvalidNonce %d without gates, 0 with them (%.0f a second)" %
              (len(seen), CLIENTS, late, len(seen) / took))
        self.assertGreater(late, 0, "nothing to keep in order: the contrast shows nothing")

    def test_a_kill_in_the_middle_brings_no_nonce_late(self):
        def kill():
            time.sleep(0.5)
            for pid in self.at.pids("signerd"):
                os.kill(pid, 9)
            self.at.ctl("down")
            self.at.ctl("up")

        seen = self.all_trade(gate=True, meanwhile=kill)
        self.assertEqual([one for one in seen if one not in ((200, None), None)], [])
        self.assertGreater(seen.count(None), 0, "the kill met nobody")
        self.assertGreater(seen.count((200, None)), 0)

    def test_a_gate_is_passed_on_after_two_seconds_and_at_once_where_its_holder_goes(self):
        first, second, third = self.peer(), self.peer(), self.peer()
        wait_until(lambda: 1 in first.ask("gate_enter", ENTER), 5, "the gate opens after the start")
        begun = time.monotonic()
        self.assertIn(1, second.ask("gate_enter", ENTER))
        self.assertGreater(time.monotonic() - begun, 1.5)
        self.assertEqual(first.ask("gate_leave", ENTER)["code"], "deadline_exceeded")
        third.send(wire.frame("gate_enter", 5, ENTER))
        begun = time.monotonic()
        second.socket.close()
        kind, ident, _ = third.receive()
        self.assertEqual((kind, ident), (wire.TYPES["gate_enter"] | 0x80, 5))
        self.assertLess(time.monotonic() - begun, 1.5)
        self.assertEqual(third.ask("gate_leave", ENTER), {})

    def test_cancels_and_heartbeats_are_let_in_before_orders(self):
        holder = self.peer()
        wait_until(lambda: 1 in holder.ask("gate_enter", ENTER), 5, "the gate is free")
        waiting = {}
        for name, path in (("order", b"/v1/order/new"), ("cancel", b"/v1/order/cancel"), ("heartbeat", b"/v1/heartbeat")):
            waiting[name] = self.peer()
            waiting[name].send(wire.frame("gate_enter", 1, {**ENTER, 2: path}))
        time.sleep(0.2)
        holder.ask("gate_leave", ENTER)
        places = {}
        for name in ("cancel", "heartbeat", "order"):
            _, _, fields = waiting[name].receive()
            places[name] = int.from_bytes(fields[1], "little")
            self.assertEqual(waiting[name].ask("gate_leave", ENTER), {})
        self.assertEqual(sorted(places, key=places.get), ["cancel", "heartbeat", "order"])

    def test_who_may_not_use_a_key_stands_at_no_gate_of_it(self):
        own = self.own()
        own.import_key("desk", api_key="account-desk")
        with wire.Peer(own.socket) as peer:
            wait_until(lambda: 1 in peer.ask("gate_enter", ENTER), 5, "the gate is free")
        allowed = next(line for line in open(own.file("policy.toml")) if line.startswith("allow = "))
        own.edit("policy.toml", allowed, 'allow = ["class:read"]\n')
        own.ctl("policy", "reload")
        with wire.Peer(own.socket) as peer:
            answer = peer.ask("gate_enter", {**ENTER, 2: b"/v1/order/cancel"})
            self.assertEqual(answer["code"], "denied", "who may not cancel is not let in as if")
            self.assertIn("no rule lets this client send that", answer["sentence"])
            self.assertIn(1, peer.ask("gate_enter", {**ENTER, 2: b"/v1/balances"}))
        own.edit("policy.toml", 'key = "env:sandbox"', 'key = "env:production"')
        own.ctl("policy", "reload")
        with wire.Peer(own.socket) as peer:
            for ask in ("gate_enter", "gate_leave"):
                self.assertEqual(peer.ask(ask, ENTER)["code"], "denied")

    def test_who_waits_at_a_stop_is_told_and_does_not_hold_it_up(self):
        own = self.own()
        own.import_key("desk", api_key="account-desk")
        peers = [wire.Peer(own.socket, timeout=60) for _ in range(6)]
        wait_until(lambda: 1 in peers[0].ask("gate_enter", ENTER), 5, "the gate is free")
        for peer in peers[1:]:
            peer.send(wire.frame("gate_enter", 1, {**ENTER, 3: wire.u32(60_000)}))
        time.sleep(0.3)
        own.ctl("down")
        for peer in peers[1:]:
            kind, _, fields = peer.receive()
            self.assertEqual((kind, fields[1]), (wire.ERROR, b"overloaded"))
            peer.socket.close()
        peers[0].socket.close()

    def test_refusals_say_why(self):
        peer = self.peer()
        for fields, code, part in (({1: b"nobodys"}, "denied", "no active key of this name"),
                                   ({**ENTER, 2: b"/v1/nothing"}, "denied", "unknown endpoint"),
                                   ({**ENTER, 3: wire.u32(60_001)}, "invalid_payload", "60000"),
                                   ({}, "protocol_error", "")):
            with self.subTest(fields):
                with self.peer() as other:
                    answer = other.ask("gate_enter", fields)
                    self.assertEqual(answer["code"], code)
                    self.assertIn(part, answer["sentence"])
        self.assertEqual(peer.ask("gate_leave", ENTER)["code"], "deadline_exceeded")
        wait_until(lambda: 1 in peer.ask("gate_enter", ENTER), 5, "the gate is free")
        self.assertEqual(peer.ask("gate_enter", ENTER)["code"], "denied")
        self.assertEqual(peer.ask("gate_leave", ENTER), {})


if __name__ == "__main__":
    unittest.main()

"""Nonces as the exchange takes them: time-based keys, whose nonce is compared with its clock."""

import email.utils
import json
import time
import unittest

import wire
from exchange import Exchange
from harness import SECRET, EndToEnd

KEYS = '[[key]]\nid = "account-time"\nsecret = "%s"\nroles = ["trader"]\nnonce = "time-based"\n' % SECRET
BALANCES = {"request": "/v1/balances"}


def microseconds(seconds):
    return wire.struct.pack("<Q", int(seconds * 1e6))


class TimeBasedKeys(EndToEnd):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.at.import_key("desk", api_key="account-time", nonce="signer-s")
        cls.at.edit("policy.toml", "[[client]]\n", "[[client]]\npush_skew = true\n")
        cls.at.ctl("policy", "reload")

    def setUp(self):
        self.bot = wire.Peer(self.at.socket)
        self.addCleanup(self.bot.socket.close)

    def exchange(self, skew_ms=0):
        sim = Exchange(KEYS, skew_ms)
        self.addCleanup(sim.clean_up)
        return sim

    def tell(self, answer):
        """What a proxy does with each answer of the exchange."""
        date = email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp()
        self.assertNotIn("code", self.bot.ask("push_skew", {1: microseconds(date)}))

    def ask(self):
        """As `sign --json` would print it, of the same connection each time."""
        answer = self.bot.ask("sign_request", {1: b"desk", 2: json.dumps(BALANCES).encode()})
        if "code" in answer:
            return answer
        headers = ("X-GEMINI-APIKEY", "X-GEMINI-PAYLOAD", "X-GEMINI-SIGNATURE")
        return {"nonce": answer[4].decode(),
                "headers": {header: answer[tag].decode() for tag, header in enumerate(headers, 1)}}

    def test_the_exchange_takes_each_of_two_hundred_and_they_rise(self):
        sim, nonces = self.exchange(), []
        for _ in range(200):
            signed = self.ask()
            self.assertRegex(signed["nonce"], r"^[0-9]{10}\.[0-9]{6}$")
            nonces.append(signed["nonce"])
            taken = sim.send(BALANCES, signed)
            self.assertEqual(taken.status, 200, taken.text)
        self.assertEqual(nonces, sorted(set(nonces)))
        self.assertLess(abs(float(nonces[-1]) - time.time()), 5)

    def test_what_the_exchange_would_refuse_is_refused_here_once_its_clock_is_known(self):
        sim = self.exchange(skew_ms=40_000)
        signed = self.at.sign("desk", json.dumps(BALANCES))
        refused = sim.send(BALANCES, signed)
        self.assertEqual((refused.status, refused.reason), (400, "InvalidNonce"))

        before = len(self.at.acts())
        self.tell(refused)
        answer = self.ask()
        self.assertEqual(answer["code"], "clock_skew")
        self.assertIn("behind the exchange's; set it right", answer["sentence"])
        (alarm,) = [act for act in self.at.acts()[before:] if act["action"] == "alarm"]
        self.assertEqual(alarm["subject"], "clock_skew")

        self.assertNotIn("code", self.bot.ask("push_skew", {1: microseconds(time.time())}))
        again = self.at.sign("desk", json.dumps(BALANCES))
        self.assertEqual(self.exchange().send(BALANCES, again).status, 200)
        self.assertGreater(again["nonce"], signed["nonce"])
        self.at.verify_audit()

    def test_who_may_not_say_what_the_exchanges_clock_shows_is_told_how_he_could(self):
        directory = self.own()  # The development policy: nobody may.
        with wire.Peer(directory.socket) as peer:
            answer = peer.ask("push_skew", {1: microseconds(time.time() + 60)})
        self.assertEqual(answer["code"], "denied")
        self.assertIn("push_skew = true", answer["sentence"])

    def test_a_time_that_no_clock_shows_is_refused(self):
        for absurd in (0, 1, 10 ** 9):
            self.assertEqual(self.bot.ask("push_skew", {1: microseconds(absurd / 1e6)})["code"], "invalid_payload")
        self.assertIn("code", self.bot.ask("push_skew", {}))


if __name__ == "__main__":
    unittest.main()

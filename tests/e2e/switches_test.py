"""What an operator types when something is wrong: freeze, cancel-only, thaw, leases, panic. Against real daemons, and
what a panic signs against gemini-sim, which knows nothing of them."""

import http.client
import json
import os
import signal
import subprocess
import time
import unittest

import wire
from harness import SECRET, Directory, EndToEnd, end, program, wait_until

READ = '{"request":"/v1/balances"}'
HEARTBEAT = '{"request":"/v1/heartbeat"}'
CANCEL = '{"request":"/v1/order/cancel/all"}'
ORDER = ('{"request":"/v1/order/new","symbol":"btcusd","amount":"0.01","price":"1000.00","side":"buy",'
         '"type":"exchange limit"}')


class Exchange:
    """gemini-sim with the keys of a test."""

    def __init__(self, directory, *api_keys):
        self.keys, self.port_file = directory.file("sim-keys.toml"), directory.file("sim-port")
        with open(self.keys, "w") as text:
            text.write("".join(
                '[[key]]\nid = "%s"\nsecret = "%s"\nroles = ["trader"]\n' % (key, SECRET) for key in api_keys))
        self.process = subprocess.Popen([program("gemini-sim"), "--keys", self.keys, "--listen", "127.0.0.1:0",
                                         "--port-file", self.port_file], stdout=subprocess.DEVNULL)
        wait_until(lambda: os.path.exists(self.port_file), what="gemini-sim listens")
        with open(self.port_file) as text:
            self.port = int(text.read())

    def send(self, path, signed):
        """Status and answer of the exchange to what was signed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", path, headers={**signed["headers"], "Content-Type": "text/plain",
                                                      "Content-Length": "0", "Cache-Control": "no-cache"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


class Switching(EndToEnd):
    """Every test thaws what it froze: they share one directory."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name in ("one", "two"):
            cls.at.import_key(name, api_key="account-switches-" + name)

    def tearDown(self):
        for item in self.at.json("switches")["switches"]:
            kind, _, name = item["subject"].partition(":")
            whom = ("--" + kind, name) if name else ("--all",)
            if item["switch"]:
                self.at.ctl("thaw", *whom, "--reason", "end of test")
            if item["lease_until"]:
                self.at.ctl("lease", *whom, "--end")

    def refused(self, key, payload, code, words=""):
        done = self.at.sign(key, payload, check=False)
        self.assertEqual(done.returncode, 1, done)
        error = json.loads(done.stdout)["error"]
        self.assertEqual(error["code"], code, error)
        self.assertIn(words, error["message"])

    def signs(self, key, *payloads):
        for payload in payloads:
            self.assertEqual(self.at.sign(key, payload)["key"], key)

    def test_a_frozen_key_signs_nothing_from_the_next_request_on(self):
        self.signs("one", ORDER)
        self.at.ctl("freeze", "--key", "one", "--reason", "fat finger")
        for payload in (ORDER, READ, HEARTBEAT, CANCEL):
            self.refused("one", payload, "frozen", 'key "one" is frozen: fat finger')
        self.signs("two", ORDER, CANCEL)
        self.at.ctl("thaw", "--key", "one", "--reason", "it was the thumb")
        self.signs("one", ORDER)

    def test_a_connection_that_was_there_before_is_stopped_too(self):
        with wire.Peer(self.at.socket) as peer:
            fields = {1: b"one", 2: READ.encode()}
            self.assertNotIn("code", peer.ask("sign_request", fields))
            self.at.ctl("freeze", "--client", "developer", "--reason", "drill")
            self.assertEqual(peer.ask("sign_request", fields).get("code"), "frozen")

    def test_a_frozen_client_and_a_frozen_signer_sign_with_no_key(self):
        for whom, words in ((("--client", "developer"), 'client "developer" is frozen'),
                            (("--all",), "every key is frozen")):
            self.at.ctl("freeze", *whom, "--reason", "drill")
            for key in ("one", "two"):
                self.refused(key, READ, "frozen", words)
            self.at.ctl("thaw", *whom, "--reason", "over")
            self.signs("one", READ)

    def test_cancel_only_lets_cancels_reads_and_heartbeats_through(self):
        self.at.ctl("cancel-only", "--key", "one", "--reason", "odd fills")
        self.signs("one", CANCEL, READ, HEARTBEAT)
        self.refused("one", ORDER, "cancel_only", 'key "one" only cancels: odd fills')
        self.refused("one", '{"request":"/v1/deposit/bitcoin/newAddress"}', "cancel_only")

    def test_cancel_only_does_not_loosen_a_freeze(self):
        self.at.ctl("freeze", "--key", "one", "--reason", "first")
        done = self.at.ctl("cancel-only", "--key", "one", "--reason", "second", check=False)
        self.assertEqual((done.returncode, b"thaw key:one first" in done.stderr), (1, True), done.stderr)
        self.refused("one", CANCEL, "frozen", "first")

    def test_a_lapsed_lease_lets_nothing_through_but_cancels(self):
        until = self.at.json("lease", "--key", "one", "--for", "2s")["lease_until"]
        self.assertTrue(until.endswith("Z"), until)
        self.signs("one", READ)
        wait_until(lambda: self.at.json("switches")["switches"][0]["lapsed"], what="the lease lapses")
        for payload in (READ, HEARTBEAT, ORDER):
            self.refused("one", payload, "cancel_only", 'the lease of key "one" has lapsed')
        self.signs("one", CANCEL)
        self.signs("two", READ, HEARTBEAT)
        self.at.ctl("lease", "--key", "one", "--for", "10m")
        self.signs("one", READ, HEARTBEAT, ORDER)

    def test_a_switch_and_a_lapsed_lease_outlive_a_killed_signer(self):
        self.at.ctl("freeze", "--key", "one", "--reason", "kept")
        self.at.ctl("lease", "--key", "two", "--for", "1s")
        for pid in self.at.pids("signerd"):
            os.kill(pid, signal.SIGKILL)
        time.sleep(1)  # The lease is to run out while nobody is there.
        self.at.ctl("up")
        self.refused("one", CANCEL, "frozen", "kept")
        self.refused("two", READ, "cancel_only", "has lapsed")
        self.signs("two", CANCEL)

    def test_names_that_stop_nobody_and_bad_words_are_refused(self):
        for words, status in ((("freeze", "--key", "onee", "--reason", "x"), 1),
                              (("freeze", "--client", "one", "--reason", "x"), 1),
                              (("freeze", "--key", "One", "--reason", "x"), 2),
                              (("freeze", "--reason", "x"), 2),
                              (("freeze", "--key", "one", "--all", "--reason", "x"), 2),
                              (("freeze", "--key", "one"), 2),
                              (("freeze", "--key", "one", "--reason", "a\nb"), 2),
                              (("thaw", "--key", "one", "--reason", "x"), 1),
                              (("lease", "--key", "one"), 2),
                              (("lease", "--key", "one", "--for", "8d"), 2),
                              (("lease", "--key", "one", "--for", "0s"), 2),
                              (("lease", "--key", "one", "--for", "1m", "--end"), 2),
                              (("lease", "--key", "one", "--end"), 1),
                              (("panic", "onee", "--reason", "x"), 1),
                              (("panic",), 2)):
            done = self.at.ctl(*words, check=False)
            self.assertEqual(done.returncode, status, (words, done.stderr))
        self.assertEqual(self.at.json("switches"), {"switches": []})
        self.signs("one", ORDER)

    def test_a_statement_is_refused_instead_of_ignored(self):
        self.at.ctl("freeze", "--key", "one", "--reason", "x")
        done = self.at.ctl("thaw", "--key", "one", "--reason", "y", "--statement", "-", stdin=b"statement", check=False)
        self.assertEqual(done.returncode, 1, done)
        self.refused("one", READ, "frozen")

    def test_status_and_list_show_what_is_set(self):
        self.at.ctl("freeze", "--key", "one", "--reason", "see #17")
        self.at.ctl("lease", "--all", "--for", "1h")
        (key, everybody) = self.at.json("switches")["switches"]
        self.assertEqual((key["subject"], key["switch"], key["reason"], key["uid"], key["lapsed"]),
                         ("key:one", "frozen", "see #17", os.getuid(), False))
        self.assertEqual((everybody["subject"], everybody["switch"]), ("all", ""))
        self.assertEqual(self.at.json("status")["switches"], [key, everybody])
        shown = self.at.ctl("status").stdout.decode()
        self.assertIn('switch: key:one: frozen since %s by uid %d, "see #17"' % (key["since"], os.getuid()), shown)
        self.assertIn("switch: all: lease until", shown)

    def test_every_change_is_on_record_and_the_log_verifies(self):
        before = len(self.at.audit_records())
        self.at.ctl("freeze", "--key", "one", "--reason", "why")
        self.refused("one", READ, "frozen")
        self.at.ctl("thaw", "--key", "one", "--reason", "why not")
        self.at.ctl("lease", "--all", "--for", "1m")
        self.at.ctl("lease", "--all", "--end")
        new = [record for record in self.at.audit_records()[before:] if record["kind"] == "admin"]
        self.assertEqual([(record["action"], record["subject"], record["reason"]) for record in new],
                         [("freeze", "key:one", "why"), ("thaw", "key:one", "why not"), ("lease", "all", ""),
                          ("lease_end", "all", "")])
        self.assertTrue(new[1]["detail"].startswith("was frozen 20"), new[1])
        self.assertEqual(new[0]["uid"], os.getuid())
        self.at.verify_audit()


class Panicking(EndToEnd):
    """A desk with a signer-ms and a caller-ms key, and the exchange."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.at.import_key("desk", api_key="account-panic-desk")
        cls.at.import_key("bot", api_key="account-panic-bot", nonce="caller-ms")
        cls.sim = Exchange(cls.at, "account-panic-desk", "account-panic-bot")
        cls.addClassCleanup(end, cls.sim.process)

    def panic(self, key):
        answer = self.at.json("panic", key, "--reason", "stolen laptop")
        self.assertEqual([(step["step"], step["done"]) for step in answer["steps"]],
                         [("freeze", True), ("cancel_all", True), ("burn", True)], answer["steps"])
        return answer, answer["steps"][1]["signed"], answer["steps"][2]["signed"]

    def all_is_over(self, key, cancel, burn, old):
        """The exchange takes both in their order, then nothing older; the signer signs no more."""
        self.assertEqual(self.sim.send("/v1/order/cancel/all", cancel)[0], 200)
        self.assertEqual(self.sim.send("/v1/heartbeat", burn), (200, {"result": "ok"}))
        for path, signed in (("/v1/order/new", old), ("/v1/order/cancel/all", cancel)):
            status, body = self.sim.send(path, signed)
            self.assertEqual((status, body["reason"]), (400, "InvalidNonce"))
        records = [record for record in self.at.audit_records() if record.get("key") == key or
                   record.get("subject") == "key:" + key]
        self.assertEqual([(record["op"], record["client"], record["endpoint"]) for record in records
                          if record.get("op") == "panic"],
                         [("panic", "(admin)", "/v1/order/cancel/all"), ("panic", "(admin)", "/v1/heartbeat")])
        self.assertEqual([(record["action"], record["reason"]) for record in records if record["kind"] == "admin"],
                         [("freeze", "stolen laptop"), ("panic", "stolen laptop")])
        self.at.verify_audit()

    def test_a_panic_ends_orders_burns_nonces_and_freezes(self):
        stolen = self.at.sign("desk", ORDER)
        answer, cancel, burn = self.panic("desk")
        self.assertEqual([(item["nonce"], item["audit_seq"], item["endpoint"]) for item in answer["unspent"]],
                         [(stolen["nonce"], stolen["audit_seq"], "/v1/order/new")])
        self.assertLess(int(stolen["nonce"]), int(cancel["nonce"]))
        self.assertLess(int(cancel["nonce"]), int(burn["nonce"]))
        self.all_is_over("desk", cancel, burn, stolen)
        for payload in (ORDER, READ, CANCEL, HEARTBEAT):
            done = self.at.sign("desk", payload, check=False)
            self.assertEqual(json.loads(done.stdout)["error"]["code"], "frozen")
        again, _, second = self.panic_again("desk")
        self.assertEqual(again["unspent"], [], "what was burnt is not listed again")
        self.assertEqual(self.sim.send("/v1/heartbeat", second)[0], 200)

    def panic_again(self, key):
        """On a key that is frozen already, by a signer that was killed in between: the log remembers."""
        for pid in self.at.pids("signerd"):
            os.kill(pid, signal.SIGKILL)
        self.at.ctl("up")
        return self.panic(key)

    def test_on_a_callers_key_the_signer_brings_nonces_above_the_callers(self):
        nonce = int(time.time() * 1000) + 3000  # As far ahead as a caller may be, nearly.
        order = json.loads(ORDER)
        stolen = self.at.sign("bot", json.dumps({"request": order.pop("request"), "nonce": str(nonce), **order}),
                              "--verbatim")
        answer, cancel, burn = self.panic("bot")
        self.assertEqual((cancel["nonce"], burn["nonce"]), (str(nonce + 1), str(nonce + 2)))
        self.assertEqual([item["nonce"] for item in answer["unspent"]], [str(nonce)])
        self.all_is_over("bot", cancel, burn, stolen)
        done = self.at.sign("bot", '{"request":"/v1/balances","nonce":"%d"}' % (nonce + 100), "--verbatim", check=False)
        self.assertEqual(json.loads(done.stdout)["error"]["code"], "frozen")

    def test_what_is_shown_to_people_can_be_sent_as_it_stands(self):
        at = self.own()
        at.import_key("desk")
        shown = at.ctl("panic", "desk", "--reason", "drill").stdout.decode()
        self.assertEqual(shown.count("curl -X POST $EXCHANGE/v1/"), 2, shown)
        self.assertIn("X-GEMINI-SIGNATURE: ", shown)

    def test_without_a_token_it_freezes_all_the_same_and_says_what_was_not_done(self):
        at = self.own()
        at.import_key("desk")
        for pid in at.pids("tokend"):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not at.json("status", check=False)["tokens"][0]["workers"], what="no worker is left")
        done = at.ctl("--json", "panic", "desk", "--reason", "fire", check=False)
        self.assertEqual(done.returncode, 3, done)
        steps = json.loads(done.stdout)["steps"]
        self.assertEqual([(step["step"], step["done"], step["code"]) for step in steps],
                         [("freeze", True, ""), ("cancel_all", False, "token_unavailable"),
                          ("burn", False, "token_unavailable")])
        at.ctl("up", check=False)
        self.assertEqual(json.loads(at.sign("desk", CANCEL, check=False).stdout)["error"]["code"], "frozen")


if __name__ == "__main__":
    unittest.main()

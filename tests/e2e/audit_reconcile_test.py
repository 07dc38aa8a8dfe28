#!/usr/bin/env python3
"""The log compared with what the exchange says of an account: real daemons sign, gemini-sim takes it and tells its
histories, and a thief who has the secret trades and withdraws without asking anybody."""

import json
import os
import shutil
import tempfile
import time
import unittest

from exchange import Exchange, client
from harness import SECRET, EndToEnd

client.Client.nonce = 10 ** 16  # The thief's: above those that hsm-signerd makes of the time.
COLD = "bc1qcold"
UPPER = "AA97B177-9383-4934-8543-0F91A7A02838"
KEYS = "".join('[[key]]\nid = "%s"\nsecret = "%s"\nroles = ["%s"]\nscope = "%s"\n' % (key, SECRET, role, scope)
               for key, role, scope in (("account-trade", "trader", "account"), ("master-funds", "fund_manager", "master"),
                                        ("account-audit", "auditor", "account")))
KEYS += '[[account]]\nname = "savings"\n[[approved]]\nnetwork = "bitcoin"\naddress = "%s"\n' % COLD
LIMIT = {"request": "/v1/order/new", "symbol": "btcusd", "amount": "0.01", "side": "buy", "type": "exchange limit"}
WITHDRAWAL = {"request": "/v2/withdraw/bitcoin/btc", "account": "primary", "address": COLD}
TRANSFER = {"request": "/v1/account/transfer/btc", "sourceAccount": "primary", "targetAccount": "savings"}
# Path, the member that says how many, how many, what names an item, how far before the last one the next page begins:
# version 2 of the transfers begins behind its timestamp, and two may be of one millisecond.
HISTORIES = {
    "orders": (("/v1/orders", None, None, "order_id", 0), ("/v1/orders/history", "limit_orders", 2, "order_id", 0)),
    "trades": (("/v1/mytrades", "limit_trades", 2, "tid", 0),),
    "transfers": (("/v1/transfers", "limit_transfers", 2, "eid", 0), ("/v2/transfers", "limit_transfers", 2, "eid", 1)),
}


class Reconcile(EndToEnd):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.at.import_key("desk.trade", api_key="account-trade")
        cls.at.import_key("desk.funds", api_key="master-funds", roles="fund_manager", extra=("--scope", "master"))
        cls.at.import_key("desk.audit", api_key="account-audit", roles="auditor")
        cls.files = tempfile.mkdtemp(prefix="hsm-histories-")
        cls.addClassCleanup(shutil.rmtree, cls.files)

    def exchange(self, skew_ms=0):
        sim = Exchange(KEYS, skew_ms)
        self.addCleanup(sim.clean_up)
        return sim

    def give(self, key, request, *sims, status=200):
        """Signs once and gives the same bytes to each exchange; what the last one answered."""
        signed = self.at.sign(key, json.dumps(request))
        for sim in sims:
            answer = sim.send(request, signed)
            self.assertEqual(answer.status, status, answer.text)
        return answer.body

    def walk(self, sim, path, limit, most, name, back):
        """A history page by page, each answer as it came; pages overlap, lest two of one millisecond fall between them."""
        known, since = set(), 0
        while True:
            request = {"request": path, **({} if limit is None else {"timestamp": since, limit: most})}
            page = self.give("desk.audit", request, sim)
            fresh = [item for item in page if item[name] not in known]
            if not fresh:
                return
            yield page
            known.update(item[name] for item in fresh)
            since = max(item["timestampms"] for item in page) - back

    def fetch(self, sim, without=()):
        """Saves every page of every history; the options that name the files. `without` are left out of each item."""
        words = []
        for kind, walks in HISTORIES.items():
            for walk in walks:
                for page in self.walk(sim, *walk):
                    name = os.path.join(self.files, "%d.json" % len(os.listdir(self.files)))
                    with open(name, "w") as file:
                        json.dump([{key: item[key] for key in item if key not in without} for item in page], file)
                    words += ["--" + kind, name]
        return words

    def reconcile(self, files, *words, check=0):
        return json.loads(self.words_of(files, *words, "--json", check=check))

    def words_of(self, files, *words, check, directory=None):
        done = self.at.ctl("audit", "reconcile", directory or self.at.file("audit"), *files, *words, check=False)
        self.assertEqual(done.returncode, check, done.stdout.decode() + done.stderr.decode())
        return done.stdout.decode()

    def alarms(self):
        return [record for record in self.at.audit_records() if record["kind"] == "admin" and record["action"] == "alarm"]

    def trade(self, *sims):
        """What a desk does: 6 orders taken of which 1 is cancelled and 2 are filled, 1 in part; 3 transfers."""
        prices = iter(range(1000, 1100))
        for more in ({}, {"client_order_id": "named-1"}, {"client_order_id": "named-1"}, {"options": ["fill-or-kill"]}):
            order = self.give("desk.trade", {**LIMIT, "price": str(next(prices)), **more}, *sims)
        alike = [self.give("desk.trade", {**LIMIT, "price": "999.50", "amount": 0.02}, *sims)["order_id"] for _ in range(2)]
        self.give("desk.trade", {"request": "/v1/order/cancel", "order_id": int(alike[0])}, *sims)
        for number, amount in ((alike[1], "0.02"), (int(order["order_id"]) - 1, "0.004"), (int(order["order_id"]) - 1, "0.001")):
            for sim in sims:
                self.assertEqual(sim.control("POST", "/fill", {"order_id": int(number), "amount": amount})[0], 200)
        self.give("desk.trade", {**LIMIT, "price": "100000000000"}, *sims, status=406)
        self.give("desk.funds", {**WITHDRAWAL, "amount": "1.5"}, *sims)
        self.give("desk.funds", {**WITHDRAWAL, "amount": "2.50", "clientTransferId": UPPER}, *sims)
        self.give("desk.funds", {**TRANSFER, "amount": "3"}, *sims)

    def test_a_clean_day_raises_no_alarm_whatever_the_exchanges_clock_says(self):
        before = self.alarms()
        sims = [self.exchange(skew_ms) for skew_ms in (0, 20_000, -20_000)]
        self.trade(*sims)
        for sim in sims:
            files = self.fetch(sim)
            self.assertGreater(len(files), 16, "pages of two")
            found = self.reconcile(files)
            counts = [found[name] for name in ("orders", "trades", "transfers", "matched", "incoming", "foreign")]
            self.assertEqual(counts, [6, 3, 3, 12, 0, []])
        # Gemini documents no client's id of a transfer, and a transfer may be without an address.
        found = self.reconcile(self.fetch(sims[1], without=("clientTransferId", "destination")))
        self.assertEqual((found["matched"], found["foreign"]), (12, []))
        self.assertEqual(self.alarms(), before)

    def test_a_log_that_does_not_verify_answers_for_nothing_where_its_key_is_given(self):
        sim = self.exchange()
        self.give("desk.trade", {**LIMIT, "price": "1200"}, sim)
        files = self.fetch(sim)
        self.at.verify_audit()
        key = self.at.file("audit.pub.pem")
        self.assertTrue(self.reconcile(files, "--audit-key", key)["verified"])
        self.assertFalse(self.reconcile(files)["verified"])
        copy = os.path.join(self.files, "copy")
        shutil.copytree(self.at.file("audit"), copy)
        segment = os.path.join(copy, "audit-000001.jsonl")
        os.chmod(segment, 0o600)
        with open(segment) as lines:
            text = lines.read()
        with open(segment, "w") as lines:
            lines.write(text.replace('"desk.trade"', '"desk.tradf"', 1))
        refused = self.at.ctl("audit", "reconcile", copy, *files, "--no-alarm", "--audit-key", key, check=False)
        self.assertEqual(refused.returncode, 4)
        self.assertIn(b"does not verify", refused.stderr)

    def test_what_the_exchange_refused_is_a_note(self):
        sim = self.exchange()
        self.give("desk.trade", {**LIMIT, "price": "50"}, sim)
        self.give("desk.trade", {**LIMIT, "price": "200000000000"}, sim, status=406)
        self.give("desk.trade", {**LIMIT, "price": "51"}, sim)
        found = self.reconcile(self.fetch(sim))
        self.assertEqual(found["foreign"], [])
        self.assertIn("buy 0.01 btcusd at 200000000000", [record["what"] for record in found["unseen_records"]])

    def test_a_thief_with_the_secret_is_named_and_nobody_else(self):
        before, sim = self.alarms(), self.exchange()
        self.trade(sim)
        thief = {key: value for key, value in LIMIT.items() if key != "request"}
        stolen = client.Client(sim, "account-trade", secret=SECRET).call("/v1/order/new", **thief, price="1000.5").body
        time.sleep(0.01)  # In order of time they are named, and the exchange counts milliseconds.
        gone = client.Client(sim, "master-funds", secret=SECRET).call(
            "/v2/withdraw/bitcoin/btc", account="primary", address=COLD, amount="4").body
        self.assertEqual(gone["amount"], "4")
        files = self.fetch(sim)
        found = self.reconcile(files, "--no-alarm", check=4)
        self.assertEqual([item["event"] for item in found["foreign"]], ["order", "transfer"])
        self.assertEqual(found["foreign"][0]["id"], stolen["order_id"])
        self.assertEqual([found["foreign"][1][name] for name in ("side", "asset", "amount", "address")],
                         ["withdrawal", "btc", "4", COLD])
        self.assertEqual((self.alarms(), found["alarm"]), (before, ""))
        text = self.words_of(files, check=4)
        named = [line for line in text.splitlines() if line.startswith("FOREIGN")]
        self.assertEqual(len(named), 2, text)
        self.assertIn("order %s, " % stolen["order_id"], named[0])
        self.assertIn("withdrawal 4 btc to " + COLD, named[1])
        self.assertIn("recorded as an alarm", text)
        (alarm,) = self.alarms()[len(before):]
        self.assertEqual(alarm["subject"], "reconcile")
        self.assertIn("2 at the exchange that nobody signed here", alarm["detail"])
        self.assertIn(stolen["order_id"], alarm["detail"])
        self.assertIn("alarm", self.at.logs())
        self.at.verify_audit()
        self.without_a_signer(files)
        self.assertEqual(len(self.alarms()), len(before) + 1)

    def without_a_signer(self, files):
        """On a copy of the log, as on an auditor's machine."""
        with tempfile.TemporaryDirectory() as elsewhere:
            copy = shutil.copytree(self.at.file("audit"), os.path.join(elsewhere, "audit"))
            self.at.ctl("down")
            text = self.words_of(files, check=4, directory=copy)
            self.at.ctl("up")
        self.assertEqual(text.count("FOREIGN "), 2, text)
        self.assertIn("no alarm was recorded: ", text)


if __name__ == "__main__":
    unittest.main()

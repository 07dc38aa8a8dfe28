"""Withdrawals that officers approve, with real daemons and the real ssh-keygen: what two of them have signed is signed once
and taken by the exchange, and every shortcut is refused. Then administrative acts, with their statements and without."""

import base64
import json
import os
import signal
import socket
import subprocess
import time
import unittest

from harness import SECRET, EndToEnd, end, program, wait_until

POLICY = """version = 1
serial = %d
[[client]]
name = "treasury"
uid = "%d"
officer = "carol"
[[rule]]
name = "reads"
client = "treasury"
key = "funds"
allow = ["class:read"]
[[rule]]
name = "withdrawals"
client = "treasury"
key = "funds"
allow = ["/v2/withdraw/{network}/{ticker}"]
approvals = { group = "officers", need = 2, within = "%s" }
"""
CEILINGS = """version = 1
[[key]]
label = "funds"
environment = "production"
classes = ["read", "move"]
rate = 1000
officers = { group = "officers", need = 2 }
"""
WITHDRAWAL = {"request": "/v2/withdraw/bitcoin/btc", "address": "bc1qtreasury", "amount": "1.5"}
KEYS = {"alice": "ed25519", "alice-second": "ed25519", "bob": "ecdsa", "carol": "ed25519", "dave": "rsa",
        "erin": "rsa", "mallory": "ed25519"}
PERSONS = {"alice": (("alice", "alice-second"), "officers"), "bob": (("bob",), "officers"),
           "carol": (("carol",), "officers"), "erin": (("erin",), "officers"), "dave": (("dave",), "clerks")}


class OfficersTest(EndToEnd):
    """Officers in hsm-signerd and hsm-tokend; keys of three kinds."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        at = cls.at
        for name, kind in KEYS.items():
            bits = ("-b", "3072") if kind == "rsa" else ()
            subprocess.run(["ssh-keygen", "-q", "-t", kind, *bits, "-N", "", "-C", name, "-f", cls.key(name)], check=True)
        with open(at.file("allowed_officers"), "w") as text:
            text.write("version = 1\n" + "".join(
                '[[officer]]\nname = "%s"\nkeys = [%s]\ngroups = ["%s"]\n'
                % (name, ", ".join('"%s"' % cls.public(key) for key in keys), group)
                for name, (keys, group) in PERSONS.items()))
        os.chmod(at.file("allowed_officers"), 0o644)

    @classmethod
    def key(cls, name):
        return os.path.join(cls.at.path, name)

    @classmethod
    def public(cls, name):
        with open(cls.key(name) + ".pub") as text:
            return text.read().strip()

    @classmethod
    def name_officers(cls):
        cls.at.edit("signer.toml", "[[token]]",
                    '[officers]\nfile = "allowed_officers"\ngroup = "officers"\nneed = 2\n\n[[token]]')

    @classmethod
    def state_policy(cls):
        """Two officers state the policy as it lies there: nothing else starts where signer.toml names officers."""
        path, checked = cls.at.file("policy.toml.statement"), cls.at.json("policy", "check")
        cls.at.ctl("statement", "make", "policy", "--host", socket.gethostname(), "--serial", str(checked["serial"]),
                   "--sha256", checked["sha256"], "-o", path)
        for name in ("alice", "bob"):
            cls.at.ctl("approvals", "sign", path, "--key", cls.key(name), "--yes")

    def sign_file(self, path, *names):
        for name in names:
            self.at.ctl("approvals", "sign", path, "--key", self.key(name), "--yes")

    def refused(self, done, code, words=""):
        self.assertNotEqual(done.returncode, 0)  # Not what it answered: that may be a signature.
        self.assertIn("[%s]" % code, done.stderr.decode())
        self.assertIn(words, done.stderr.decode())

    def actions(self):
        return [record["action"] for record in self.at.audit_records() if record["kind"] == "admin"]


class Approvals(OfficersTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        at = cls.at
        at.expect_production_keys("funds")
        at.import_key("funds", api_key="account-funds", roles="fund_manager", environment="production")
        at.ctl("down")
        cls.write_policy()
        with open(at.file("ceilings.toml"), "w") as text:
            text.write(CEILINGS)
        at.edit("dev.toml", "version = 1\n", 'version = 1\nallowed_officers = "allowed_officers"\n')
        cls.name_officers()
        at.ctl("up")

    serial = 0

    @classmethod
    def write_policy(cls, within="15m"):
        Approvals.serial += 1
        with open(cls.at.file("policy.toml"), "w") as text:
            text.write(POLICY % (cls.serial, os.getuid(), within))
        cls.state_policy()

    def restart(self):
        self.at.ctl("down")
        self.at.ctl("up")

    def withdrawal(self, amount):
        return json.dumps({**WITHDRAWAL, "amount": amount})

    def ask(self, amount):
        return self.at.sign("funds", self.withdrawal(amount), check=False)

    def waiting(self, amount):
        """Asked, and waiting: its id."""
        done = self.ask(amount)
        self.refused(done, "approval_required")
        return json.loads(done.stdout)["error"]["approval"]

    def statement(self, ident):
        path = os.path.join(self.at.path, ident + ".statement")
        with open(path, "wb") as text:
            text.write(self.at.ctl("approvals", "show", ident, "--text").stdout)
        return path

    def approve(self, ident, *names):
        path = self.statement(ident)
        self.sign_file(path, *names)
        return self.at.ctl("approvals", "submit", ident, path, check=False)

    def signed(self, amount):
        done = self.ask(amount)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def exchange(self, headers):
        """What gemini-sim answers to a withdrawal; to this address alone money may go."""
        keys, port_file = (os.path.join(self.at.path, name) for name in ("sim.toml", "sim.port"))
        with open(keys, "w") as text:
            text.write('[[key]]\nid = "account-funds"\nsecret = "%s"\nroles = ["fund_manager"]\nnonce = "incrementing"\n'
                       '[[approved]]\nnetwork = "bitcoin"\naddress = "bc1qtreasury"\n' % SECRET)
        sim = subprocess.Popen([program("gemini-sim"), "--keys", keys, "--listen", "127.0.0.1:0", "--port-file", port_file],
                               stdout=subprocess.DEVNULL)
        self.addCleanup(end, sim)
        wait_until(lambda: os.path.exists(port_file), what="gemini-sim tells its port")
        with open(port_file) as text:
            url = "http://127.0.0.1:%s/v2/withdraw/bitcoin/btc" % text.read().strip()
        command = ["curl", "--silent", "--max-time", "10", "-X", "POST", "-H", "Content-Type: text/plain", "-H",
                   "Content-Length: 0", "-H", "Cache-Control: no-cache"]
        for name, value in headers.items():
            command += ["-H", "%s: %s" % (name, value)]
        return json.loads(subprocess.run(command + [url], capture_output=True, check=True, timeout=30).stdout)

    def test_what_two_officers_approve_is_signed_and_once(self):
        ident = self.waiting("1.5")
        self.assertEqual(self.waiting("1.5"), ident)
        self.assertEqual(self.approve(ident, "alice", "bob").returncode, 0)
        headers = self.signed("1.5")["headers"]
        answer = self.exchange(headers)
        self.assertEqual((answer["amount"], answer["address"]), ("1.5", "bc1qtreasury"), answer)
        payload = json.loads(base64.b64decode(headers["X-GEMINI-PAYLOAD"]))
        self.assertEqual((payload["amount"], payload["address"]), ("1.5", "bc1qtreasury"))
        self.assertRegex(payload["clientTransferId"], "^[0-9a-f]{8}-[0-9a-f]{4}-4")
        self.assertNotEqual(self.waiting("1.5"), ident)
        used = [record for record in self.at.audit_records() if record.get("statement") == ident]
        self.assertEqual([record["action"] for record in used],
                         ["approval_asked", "approval_signed", "approval_signed", "statement_used", "approval_released"])
        self.assertEqual(used[3]["officers"], "alice,bob")
        self.at.verify_audit()

    def test_an_officer_signs_on_line_and_sees_it_in_words(self):
        ident = self.waiting("2.5")
        done = self.at.ctl("approvals", "sign", ident, "--key", self.key("erin"), "--yes")
        self.assertIn(b"Withdraw 2.5 btc over bitcoin to bc1qtreasury, without a memo", done.stdout)
        self.assertIn(b"signed by erin of 2", done.stdout)
        self.at.ctl("approvals", "sign", ident, "--key", self.key("bob"), "--yes")
        listed = {item["id"]: item for item in self.at.json("approvals", "list")["approvals"]}
        self.assertEqual(listed[ident]["state"], "approved")
        self.signed("2.5")

    def test_nobody_signs_unasked(self):
        ident = self.waiting("3")
        done = self.at.ctl("approvals", "sign", ident, "--key", self.key("alice"), check=False)
        self.refused(done, "usage", "no terminal")

    def test_one_officer_is_not_two(self):
        ident = self.waiting("4")
        self.assertEqual(self.approve(ident, "alice").returncode, 0)
        self.assertEqual(self.waiting("4"), ident)

    def test_one_person_with_two_keys_is_one(self):
        ident = self.waiting("5")
        self.assertEqual(self.approve(ident, "alice", "alice-second").returncode, 0)
        done = self.ask("5")
        self.refused(done, "approval_required", "1 has signed: alice")

    def test_the_requester_cannot_approve(self):
        self.refused(self.approve(self.waiting("6"), "alice", "carol"), "denied", "cannot approve")

    def test_an_officer_of_another_group_cannot(self):
        self.refused(self.approve(self.waiting("7"), "alice", "dave"), "denied", "dave is not in")

    def test_nobodys_key_counts_for_nothing(self):
        self.refused(self.approve(self.waiting("8"), "alice", "mallory"), "denied", "no officer's key")

    def test_signatures_for_another_amount_are_refused(self):
        cheap, dear = self.waiting("9"), self.waiting("90")
        path = self.statement(cheap)
        self.sign_file(path, "alice", "bob")
        self.refused(self.at.ctl("approvals", "submit", dear, path, check=False), "denied", "another text")
        self.waiting("90")

    def test_a_changed_text_carries_no_signature(self):
        ident = self.waiting("10")
        path = self.statement(ident)
        self.sign_file(path, "alice", "bob")
        with open(path) as text:
            content = text.read()
        with open(path, "w") as text:
            text.write(content.replace('"amount":"10"', '"amount":"11"'))
        self.refused(self.at.ctl("approvals", "submit", ident, path, check=False), "denied")

    def test_signatures_do_not_count_twice(self):
        ident = self.waiting("12")
        path = self.statement(ident)
        self.sign_file(path, "alice", "bob")
        self.at.ctl("approvals", "submit", ident, path)
        self.signed("12")
        again = self.waiting("12")
        self.refused(self.at.ctl("approvals", "submit", ident, path, check=False), "denied", "no such")
        self.refused(self.at.ctl("approvals", "submit", again, path, check=False), "denied", "another text")

    def test_what_is_rejected_stays_unsigned(self):
        ident = self.waiting("13")
        self.assertEqual(self.approve(ident, "alice", "bob").returncode, 0)
        self.at.ctl("approvals", "reject", ident, "--reason", "nobody asked for this")
        self.assertNotEqual(self.waiting("13"), ident)
        self.assertIn("approval_rejected", self.actions())

    def test_the_terminal_shows_nothing_that_disturbs_it(self):
        done = self.at.sign("funds", json.dumps({**WITHDRAWAL, "amount": "14", "memo": "\x1b[2J\u202e1"}), check=False)
        self.refused(done, "approval_required")
        shown = self.at.ctl("approvals", "show", json.loads(done.stdout)["error"]["approval"]).stdout
        self.assertIn(b"\\u001b[2J\\u202e1", shown)
        self.assertTrue(all(32 <= byte < 127 or byte == 10 for byte in shown), shown)

    def test_it_outlives_the_signer(self):
        ident = self.waiting("15")
        self.assertEqual(self.approve(ident, "alice").returncode, 0)
        os.kill(self.at.pids("signerd")[0], signal.SIGKILL)
        wait_until(lambda: self.at.ctl("up", check=False).returncode == 0, what="the signer runs again")
        self.assertEqual(self.approve(ident, "bob").returncode, 0)
        self.signed("15")

    def test_another_policy_voids_what_was_approved(self):
        ident = self.waiting("16")
        self.assertEqual(self.approve(ident, "alice", "bob").returncode, 0)
        self.write_policy()
        self.addCleanup(self.restart)
        self.addCleanup(self.write_policy)
        self.restart()
        self.assertNotEqual(self.waiting("16"), ident)

    def test_what_is_over_vanishes(self):
        self.write_policy(within="3s")
        self.addCleanup(self.restart)
        self.addCleanup(self.write_policy)
        self.restart()
        ident = self.waiting("17")
        self.assertEqual(self.approve(ident, "alice", "bob").returncode, 0)
        wait_until(lambda: ident not in {item["id"] for item in self.at.json("approvals", "list")["approvals"]},
                   what="the approval is over")
        self.assertNotEqual(self.waiting("17"), ident)

    def test_statements_of_a_read_are_not_wanted(self):
        self.at.sign("funds", '{"request":"/v1/balances"}')


class Administration(OfficersTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.at.import_key("before", api_key="account-before")
        cls.assert_says(cls.at, "administrative statements are not demanded")
        cls.at.ctl("down")
        cls.name_officers()
        cls.at.edit("policy.toml", "version = 1\n", "version = 1\nserial = 1\n")
        cls.state_policy()
        cls.at.ctl("up")
        cls.assert_says(cls.at, "2 distinct officers")

    @staticmethod
    def assert_says(at, words):
        assert words in at.ctl("status").stdout.decode(), at.ctl("status").stdout
        assert words in at.logs()

    def make(self, verb, *more, names=("alice", "bob")):
        path = os.path.join(self.at.path, "%s-%d.statement" % (verb, time.monotonic_ns()))
        self.at.ctl("statement", "make", verb, *more, "-o", path)
        self.sign_file(path, *names)
        return path

    def imported(self, name, statement=None):
        extra = ("--statement", statement) if statement else ()
        return self.at.import_key(name, api_key="account-" + name, check=False, extra=extra)

    def import_statement(self, name, names=("alice", "bob"), **more):
        lines = {"key": name, "api-key": "account-" + name, "environment": "sandbox", "roles": "trader",
                 "scope": "account", "token": "dev", **more}
        return self.make("import", *[word for line, value in lines.items() for word in ("--" + line, value)], names=names)

    def state(self, name):
        return self.at.json("key", "show", name)["keys"][-1]["state"]

    def test_an_import_and_its_activation_need_a_statement_each(self):
        self.refused(self.imported("desk"), "approval_required", "statement make")
        self.assertEqual(self.imported("desk", self.import_statement("desk")).returncode, 0)
        self.assertEqual(self.state("desk"), "staged")
        self.refused(self.at.ctl("key", "activate", "desk", check=False), "approval_required", "activate desk version=1")
        path = self.make("activate", "--key", "desk", "--version", "1")
        self.at.ctl("key", "activate", "desk", "--statement", path)
        self.assertEqual(self.state("desk"), "active")
        self.at.sign("desk", '{"request":"/v1/balances"}')

    def test_a_statement_of_one_officer_or_about_something_else_imports_nothing(self):
        one = self.import_statement("vault", names=("alice",))
        self.refused(self.imported("vault", one), "approval_required", "1 has signed: alice")
        for line, value in (("roles", "trader,fund_manager"), ("environment", "production"), ("api-key", "account-x"),
                            ("key", "other"), ("scope", "master"), ("host", "elsewhere")):
            with self.subTest(line=line):
                self.refused(self.imported("vault", self.import_statement("vault", **{line: value})), "denied", "another")
        self.assertNotIn("vault", {item["key"] for item in self.at.json("key", "list")["keys"]})

    def test_one_statement_imports_one_version(self):
        path = self.import_statement("twice")
        self.assertEqual(self.imported("twice", path).returncode, 0)
        self.refused(self.imported("twice", path), "denied", "used before")

    def test_a_key_is_destroyed_by_one_statement_through_all_its_steps(self):
        self.refused(self.at.ctl("key", "destroy", "before", "--yes", check=False), "approval_required")
        self.assertEqual(self.state("before"), "active")
        other = self.make("activate", "--key", "before", "--version", "1")
        self.refused(self.at.ctl("key", "destroy", "before", "--yes", "--statement", other, check=False), "denied",
                     "another verb than destroy")
        path = self.make("destroy", "--key", "before", "--version", "1")
        self.at.ctl("statement", "submit", path)
        self.assertEqual(self.state("before"), "destroyed")
        used = [record for record in self.at.audit_records() if record.get("action") == "statement_used"]
        self.assertEqual(len([record for record in used if record["subject"] == "destroy before version=1"]), 1)

    def test_a_half_import_is_given_up_without_officers(self):
        self.assertEqual(self.imported("half", self.import_statement("half")).returncode, 0)
        self.at.ctl("key", "destroy", "half", "--yes")
        self.assertEqual(self.state("half"), "destroyed")

    def test_where_nobody_looks_at_a_statement_it_is_refused(self):
        own = self.own()
        path = self.import_statement("lost")
        done = own.import_key("lost", api_key="account-lost", check=False, extra=("--statement", path))
        self.refused(done, "denied", "nobody would look at")

    def test_no_officers_no_start(self):
        own = self.own(up=False)
        own.edit("signer.toml", "[[token]]", '[officers]\nfile = "none"\ngroup = "officers"\nneed = 2\n[[token]]')
        self.assertNotEqual(own.ctl("up", check=False).returncode, 0)


if __name__ == "__main__":
    unittest.main()

"""Who has taken hsm-signerd over speaks to <token>.sock with its uid and its keys' names. No withdrawal is signed without
two officers' own signatures over that very withdrawal, for that host, token, key and environment, in time, and once.
The officers' keys and signatures are the real ssh-keygen's; the statement and what it shows of a payload are written
here from docs/statements.md, without a line of the daemons' code."""

import base64
import contextlib
import datetime
import json
import os
import re
import signal
import socket
import subprocess
import unittest

import wire
from ceiling_test import KCV, mac_fields
from harness import SECRET, EndToEnd, program, wait_until

HOST = socket.gethostname()
WITHDRAWAL = {"request": "/v2/withdraw/bitcoin/btc", "address": "bc1qtreasury", "amount": "1.5"}


def shown(members):
    """What officers are shown of a payload: docs/statements.md."""
    return json.dumps({name: value for name, value in members.items() if name != "nonce"}, separators=(",", ":"))


def signed_payload(members, nonce=7):
    return base64.b64encode(json.dumps({**members, "nonce": nonce}, ensure_ascii=False).encode())


def in_minutes(minutes):
    time = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def statement(ident, members=None, minutes=15, **changed):
    """The text of an approval. `changed` replaces lines, or leaves them out where None."""
    lines = {"verb": "approve", "host": HOST, "id": ident, "key": "funds", "api-key-id": "account-funds",
             "environment": "production", "client": "treasury", "requester": None,
             "payload": shown(members or WITHDRAWAL), "policy-serial": "1", "arg-token": "dev",
             "expires": in_minutes(minutes)}
    lines.update({name.replace("_", "-"): value for name, value in changed.items()})
    return "hsm-signer statement v1\n" + "".join("%s: %s\n" % line for line in lines.items() if line[1] is not None)


class Officers:
    """Keys of the real ssh-keygen, in a directory of the test."""

    def __init__(self, path):
        self.path = path
        for name, kind in (("alice", "ed25519"), ("alice-second", "ed25519"), ("bob", "ecdsa"), ("carol", "rsa"),
                           ("mallory", "ed25519")):
            subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", self.key(name)], check=True)

    def key(self, name):
        return os.path.join(self.path, name)

    def line(self, name):
        with open(self.key(name) + ".pub") as text:
            return text.read().strip()

    def allowed(self):
        persons = {"alice": ("alice", "alice-second"), "bob": ("bob",), "carol": ("carol",)}
        return "version = 1\n" + "".join(
            '[[officer]]\nname = "%s"\nkeys = [%s]\ngroups = ["officers"]\n'
            % (name, ", ".join('"%s"' % self.line(key) for key in keys)) for name, keys in persons.items())

    def sign(self, name, text, purpose="hsm-signer-v1"):
        done = subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", purpose, "-f", self.key(name)],
                              input=text.encode(), capture_output=True, check=True)
        return done.stdout.decode()

    def bundle(self, text, *names):
        return (text + "".join(self.sign(name, text) for name in names)).encode()


class CompromisedSigner(EndToEnd):
    workers = 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        at = cls.at
        at.expect_production_keys("funds", "other")
        at.import_key("funds", api_key="account-funds", roles="fund_manager", environment="production")
        at.import_key("other", api_key="account-other", roles="fund_manager", environment="production")
        cls.ids = {item["key"]: item["cka_id"] for item in at.json("key", "list")["keys"]}
        cls.officers = Officers(at.path)
        at.ctl("down")
        with open(at.file("ceilings.toml"), "w") as text:
            text.write("version = 1\n" + "".join(
                '[[key]]\nlabel = "%s"\nenvironment = "production"\nclasses = ["read", "move", "widen", "admin"]\n'
                'rate = 1000\nofficers = { group = "officers", need = 2 }\n' % name for name in ("funds", "other")))
        with open(at.file("allowed_officers"), "w") as text:
            text.write(cls.officers.allowed())
        os.chmod(at.file("allowed_officers"), 0o644)
        at.edit("dev.toml", "version = 1\n", 'version = 1\nallowed_officers = "allowed_officers"\n')
        at.ctl("up")
        cls.take_the_signer_over()

    @classmethod
    def take_the_signer_over(cls):
        """It is gone, and we hold its uid."""
        for pid in cls.at.pids("signerd"):
            os.kill(pid, signal.SIGKILL)

    def peer(self):
        peer = self.at.worker()
        self.addCleanup(peer.socket.close)
        return peer

    def fields(self, members, bundle, key="funds", nonce=7):
        asked = mac_fields(signed_payload(members, nonce), kcv=KCV, label=key.encode() + b".v1", cka_id=self.ids[key])
        return {**asked, 5: bundle} if bundle else asked

    def ask(self, members, bundle, peer=None, **more):
        with contextlib.ExitStack() as stack:
            if peer is None:
                peer = self.peer()
                stack.callback(peer.socket.close)
            return peer.ask("mac", self.fields(members, bundle, **more))

    def assert_refused(self, answer, codes, sentence=""):
        """Without showing what was answered: where that is no error it is a MAC."""
        self.assertTrue("code" in answer, ("not refused", sentence))
        self.assertIn(answer["code"], codes, answer["sentence"])
        self.assertIn(sentence, answer["sentence"])

    def assert_signed(self, answer, members, nonce=7):
        self.assertNotIn("code", answer, answer.get("sentence"))
        self.assertTrue(wire.signs_rightly(SECRET, signed_payload(members, nonce), answer[1].hex()))

    def test_what_two_officers_have_stated_is_signed(self):
        text = statement("honest-1")
        self.assert_signed(self.ask(WITHDRAWAL, self.officers.bundle(text, "alice", "bob")), WITHDRAWAL)
        self.assertIn("statement_spent: honest-1 for funds.v1, of alice, bob", self.at.logs())
        text = statement("honest-2", requester="alice")
        self.assert_signed(self.ask(WITHDRAWAL, self.officers.bundle(text, "bob", "alice-second", "carol")), WITHDRAWAL)

    def test_what_they_were_shown_is_what_is_signed_whatever_is_in_it(self):
        members = {"request": "/v2/withdraw/bitcoin/btc", "address": "bc1q", "amount": "1",
                   "memo": "Gr\u00fc\u00dfe \u202e\U0001f600 \x7f \x1b[2J \"\\/"}
        bundle = self.officers.bundle(statement("honest-3", members), "alice", "bob")
        self.assert_signed(self.ask(members, bundle), members)

    def test_without_a_statement_nothing_above_the_ceiling_is_signed(self):
        for members in (WITHDRAWAL, {"request": "/v1/withdraw/BTC", "address": "bc1q", "amount": "1"},
                        {"request": "/v1/account/transfer/btc", "sourceAccount": "a", "targetAccount": "b",
                         "amount": "1"},
                        {"request": "/v1/deposit/bitcoin/newAddress"},
                        {"request": "/v1/account/create", "name": "x"}):
            self.assert_refused(self.ask(members, b""), ("approval_required",),
                                '2 distinct officers of group "officers"')

    def test_what_no_two_officers_have_signed_is_refused(self):
        text = statement("few-1")
        one = self.officers.bundle(text, "alice")
        for bundle, codes, sentence in (
                (b"approved by both officers", ("invalid_payload",), "statement"),
                (text.encode(), ("invalid_payload",), "nobody has signed"),
                (one, ("approval_required",), "1 has signed: alice"),
                (self.officers.bundle(text, "alice", "alice"), ("approval_required",), "1 has signed: alice"),
                (self.officers.bundle(text, "alice", "alice-second"), ("approval_required",), "1 has signed: alice"),
                (self.officers.bundle(text, "alice", "mallory"), ("approval_required",), "nobody's key"),
                (self.officers.bundle(text, "mallory", "mallory"), ("approval_required",), "0 have signed"),
                (one + self.officers.sign("bob", text, "git").encode(), ("approval_required",), "another namespace"),
                (one + self.officers.sign("bob", text + " ").encode(), ("approval_required",), "does not verify")):
            self.assert_refused(self.ask(WITHDRAWAL, bundle), codes, sentence)
        text = statement("few-2", requester="bob")
        self.assert_refused(self.ask(WITHDRAWAL, self.officers.bundle(text, "alice", "bob")), ("approval_required",),
                            "bob is the requester")

    def test_a_statement_about_anything_else_is_refused(self):
        """The officers have signed something, and it is used for something else."""
        bundle = self.officers.bundle(statement("else-1"), "alice", "bob")
        for change in ({"amount": "15"}, {"amount": "1.50"}, {"amount": 1.5}, {"address": "bc1qmallory"},
                       {"request": "/v2/withdraw/ethereum/eth"}, {"request": "/v1/withdraw/btc"},
                       {"memo": "1"}, {"account": "primary"}):
            self.assert_refused(self.ask({**WITHDRAWAL, **change}, bundle), ("denied",), "another payload")
        self.assert_refused(self.ask(WITHDRAWAL, bundle, key="other"), ("denied",), "another key than other")
        for text, sentence in ((statement("else-2", host="elsewhere"), "another host than " + HOST),
                               (statement("else-3", arg_token="spare"), "another token than dev"),
                               (statement("else-4", key="other"), "another key than funds"),
                               (statement("else-5", environment="sandbox"), "another environment than production")):
            self.assert_refused(self.ask(WITHDRAWAL, self.officers.bundle(text, "alice", "bob")), ("denied",), sentence)
        # And none of that has spent the one that was honest.
        self.assert_signed(self.ask(WITHDRAWAL, bundle), WITHDRAWAL)

    def test_no_changed_line_is_believed(self):
        text = statement("changed-1")
        signatures = self.officers.bundle(text, "alice", "bob").decode()[len(text):]
        for old, new in (("1.5", "9.5"), ("bc1qtreasury", "bc1qmallory"), ("changed-1", "changed-2"),
                         ("policy-serial: 1", "policy-serial: 2"), ("client: treasury", "client: mm-bot"),
                         ("expires: 20", "expires: 21")):
            changed = text.replace(old, new)
            self.assertNotEqual(changed, text)
            members = {name: value.replace(old, new) for name, value in WITHDRAWAL.items()}
            self.assert_refused(self.ask(members, (changed + signatures).encode()), ("approval_required",),
                                "0 have signed")

    def test_after_its_end_and_before_its_last_day_a_statement_counts_for_nothing(self):
        late = self.officers.bundle(statement("late-1", minutes=-1), "alice", "bob")
        self.assert_refused(self.ask(WITHDRAWAL, late), ("denied",), "has expired")
        early = self.officers.bundle(statement("early-1", minutes=24 * 60 + 5), "alice", "bob")
        self.assert_refused(self.ask(WITHDRAWAL, early), ("denied",), "lives too long")

    def test_a_read_needs_no_statement_and_spends_none(self):
        members = {"request": "/v1/balances"}
        bundle = self.officers.bundle(statement("read-1", members), "alice", "bob")
        self.assert_signed(self.ask(members, bundle), members)
        self.assert_signed(self.ask(members, b""), members)

    def test_a_statement_counts_once(self):
        text = statement("once-1")
        bundle = self.officers.bundle(text, "alice", "bob")
        peer = self.peer()
        self.assert_signed(self.ask(WITHDRAWAL, bundle, peer), WITHDRAWAL)
        other_signers = self.officers.bundle(text, "bob", "carol")
        for again in (bundle, other_signers):
            self.assert_refused(self.ask(WITHDRAWAL, again, peer, nonce=8), ("denied",), "used before: once-1")
            self.assert_refused(self.ask(WITHDRAWAL, again, nonce=9), ("denied",), "used before: once-1")
        # The same id over another text: an id is used once, too.
        reused = self.officers.bundle(statement("once-1", {**WITHDRAWAL, "amount": "2"}), "alice", "bob")
        self.assert_refused(self.ask({**WITHDRAWAL, "amount": "2"}, reused), ("denied",), "used before")

    def test_from_two_connections_at_once_it_counts_once(self):
        for turn in range(10):
            bundle = self.officers.bundle(statement("race-%d" % turn), "alice", "bob")
            peers = [self.peer(), self.peer()]
            frames = b"".join(wire.frame("mac", ident, self.fields(WITHDRAWAL, bundle, nonce=ident))
                              for ident in (1, 2, 3))
            for peer in peers:
                peer.send(frames)
            answers = [peer.receive() for peer in peers for _ in range(3)]
            signed = [answer for answer in answers if answer[0] != wire.ERROR]
            self.assertEqual(len(signed), 1, "of one statement came more MACs than one, or none")
            for kind, _, fields in answers:
                if kind == wire.ERROR:
                    self.assertIn(b"used before", fields[2])
            for peer in peers:
                peer.socket.close()

    def test_over_a_restart_and_a_kill_it_counts_once(self):
        bundle = self.officers.bundle(statement("kill-1"), "alice", "bob")
        peer = self.peer()
        self.assert_signed(self.ask(WITHDRAWAL, bundle, peer), WITHDRAWAL)
        for kill in (self.kill_workers, self.kill_supervisor):
            kill()
            self.assert_refused(self.ask(WITHDRAWAL, bundle), ("denied",), "used before")
        self.at.ctl("down")
        self.at.ctl("up")
        self.take_the_signer_over()
        self.assert_refused(self.ask(WITHDRAWAL, bundle), ("denied",), "used before")

    def test_killed_right_behind_the_request_it_has_counted_at_most_once(self):
        for turn in range(10):
            bundle = self.officers.bundle(statement("behind-%d" % turn), "alice", "bob")
            peer = self.peer()
            peer.send(wire.frame("mac", 1, self.fields(WITHDRAWAL, bundle)))
            self.kill_workers()
            came = 0
            with contextlib.suppress(wire.Closed):
                came = 1 if peer.receive()[0] != wire.ERROR else 0
            again = self.ask(WITHDRAWAL, bundle)
            came += 0 if "code" in again else 1
            self.assertLessEqual(came, 1, "two MACs of one statement")

    def spent_list(self):
        with open(self.at.file("dev.toml")) as text:
            return os.path.join(re.search('state_dir = "(.*)"', text.read())[1], "spent")

    def children(self, pid):
        with open("/proc/%d/task/%d/children" % (pid, pid)) as text:
            return [int(child) for child in text.read().split()]

    def kill_workers(self):
        for supervisor in self.at.pids("tokend"):
            for worker in self.children(supervisor):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)

    def kill_supervisor(self):
        for supervisor in self.at.pids("tokend"):
            os.kill(supervisor, signal.SIGKILL)
        self.at.ctl("up")
        self.take_the_signer_over()

    def test_what_the_list_has_forgotten_stays_refused_when_the_clock_is_set_back(self):
        path = self.spent_list()
        bundle = self.officers.bundle(statement("back-1"), "alice", "bob")
        self.assert_signed(self.ask(WITHDRAWAL, bundle), WITHDRAWAL)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        with open(path) as text:
            kept = text.read()
        # As a clock that ran ahead by half an hour would have left it.
        lines = kept.splitlines(keepends=True)
        with open(path, "w") as text:
            text.write(lines[0] + "forgotten-until %s\n" % in_minutes(30))
        try:
            self.assert_refused(self.ask(WITHDRAWAL, bundle), ("denied",), "has expired")
        finally:
            with open(path, "w") as text:
                text.write(kept)

    def test_a_damaged_list_stops_withdrawals_and_nothing_else(self):
        path = self.spent_list()
        self.assert_signed(self.ask(WITHDRAWAL, self.officers.bundle(statement("torn-0"), "alice", "bob")), WITHDRAWAL)
        bundle = self.officers.bundle(statement("torn-1"), "alice", "bob")
        with open(path) as text:
            kept = text.read()
        try:
            with open(path, "w") as text:
                text.write(kept[:-3])
            self.assert_refused(self.ask(WITHDRAWAL, bundle), ("state_unavailable",), "damaged")
            self.assert_signed(self.ask({"request": "/v1/balances"}, b""), {"request": "/v1/balances"})
        finally:
            with open(path, "w") as text:
                text.write(kept)
        self.assert_signed(self.ask(WITHDRAWAL, bundle), WITHDRAWAL)


class WithoutOfficers(EndToEnd):
    def test_ceilings_that_demand_officers_need_their_file(self):
        at = self.own()
        at.ctl("down")
        with open(at.file("ceilings.toml"), "w") as text:
            text.write('version = 1\n[[key]]\nlabel = "funds"\nenvironment = "production"\nclasses = ["move"]\n'
                       'officers = { group = "officers", need = 2 }\n')

        def check():
            return subprocess.run([program("hsm-tokend"), "--config", at.file("dev.toml"), "--check"],
                                  capture_output=True, check=False, timeout=30)
        done = check()
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"ceilings demand officers, and no file says who they are", done.stderr)
        at.edit("dev.toml", "version = 1\n", 'version = 1\nallowed_officers = "allowed_officers"\n')
        self.assertIn(b"cannot open", check().stderr)
        with open(at.file("allowed_officers"), "w") as text:
            text.write("version = 1\n")
        os.chmod(at.file("allowed_officers"), 0o666)
        self.assertIn(b"others than its owner can write", check().stderr)
        os.chmod(at.file("allowed_officers"), 0o644)
        self.assertEqual(check().returncode, 0)


if __name__ == "__main__":
    unittest.main()

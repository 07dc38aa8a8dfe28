"""Another policy comes into force while the signer runs: all of it or nothing, from the next request on."""

import datetime
import os
import signal
import socket
import subprocess
import unittest

from harness import EndToEnd, wait_until

ORDER = ('{"request":"/v1/order/new","symbol":"btcusd","amount":"1","price":"1","side":"buy",'
         '"type":"exchange limit"}')
READ = '{"request":"/v1/balances"}'
POLICY = """version = 1
serial = %d
[[client]]
name = "me"
uid = "%d"
[[rule]]
name = "%s"
client = "me"
key = "env:sandbox"
allow = ["class:read", "/v1/order/new"]
%s
"""


class PolicyReload(EndToEnd):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.at.import_key("k")

    def write(self, serial, name="rule", limits=""):
        """As an editor does it: the new file is renamed over the old."""
        with open(self.at.file("policy.new"), "w") as text:
            text.write(POLICY % (serial, os.getuid(), name, limits))
        os.rename(self.at.file("policy.new"), self.at.file("policy.toml"))

    def reload(self, *args):
        return self.at.json("policy", "reload", *args)

    def signs(self, payload):
        return self.at.sign("k", payload, check=False).returncode == 0

    def test_it_counts_from_the_next_request_on_and_is_recorded(self):
        self.write(1)
        first = self.reload()
        self.assertTrue(self.signs(ORDER))
        self.write(2, limits='sides = ["sell"]')
        second = self.reload()
        self.assertFalse(self.signs(ORDER))
        self.assertTrue(self.signs(READ))
        self.assertEqual((second["old_sha256"], second["old_serial"], second["serial"]), (first["sha256"], 1, 2))
        records = [record for record in self.at.audit_records() if record["kind"] == "admin"]
        self.assertEqual([record["text_sha256"] for record in records][-2:], [first["sha256"], second["sha256"]])
        self.assertEqual((records[-1]["action"], records[-1]["subject"], records[-1]["uid"]),
                         ("reload", "policy", os.getuid()))
        self.at.verify_audit()

    def test_a_file_with_an_error_changes_nothing(self):
        self.write(3)
        self.reload()
        self.write(4, limits='symbls = ["btcusd"]')
        done = self.at.ctl("policy", "reload", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("policy.toml:11:1: \"symbls\": unknown key", done.stderr.decode())
        self.assertTrue(self.signs(ORDER))
        os.rename(self.at.file("policy.toml"), self.at.file("policy.away"))
        self.assertEqual(self.at.ctl("policy", "reload", check=False).returncode, 2)
        self.assertTrue(self.signs(ORDER))
        os.rename(self.at.file("policy.away"), self.at.file("policy.toml"))

    def test_windows_go_on_and_those_that_begin_anew_are_told(self):
        window = 'window = [ { per = "1h", max_count = %d } ]'
        self.write(5, "windowed", window % 2)
        self.assertEqual([one["window"] for one in self.reload()["windows"]], ['rule "windowed", 1h'])
        self.assertEqual([self.signs(ORDER) for _ in range(3)], [True, True, False])
        self.write(6, "windowed", window % 3)
        self.assertEqual(self.reload()["begun"], 0)
        self.assertEqual([self.signs(ORDER) for _ in range(2)], [True, False])
        self.write(7, "renamed", window % 3)
        self.assertEqual([one["window"] for one in self.reload()["windows"]], ['rule "renamed", 1h'])
        self.assertTrue(self.signs(ORDER))

    def test_sighup_does_the_same_and_leaves_a_word_in_the_log(self):
        signerd = self.at.pids("signerd")[0]
        self.write(8, limits='sides = ["sell"]')
        os.kill(signerd, signal.SIGHUP)
        wait_until(lambda: not self.signs(ORDER), what="the new policy is in force")
        self.assertIn("policy_reloaded: sha256", self.at.logs())
        self.write(9, limits="nonsense")
        os.kill(signerd, signal.SIGHUP)
        wait_until(lambda: "policy_not_reloaded: " in self.at.logs(), what="a word of the error")
        self.assertTrue(self.signs(READ))
        self.write(10)
        os.kill(signerd, signal.SIGHUP)
        wait_until(lambda: self.signs(ORDER), what="the third policy is in force")


def stamp(seconds):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).strftime(
        "%Y-%m-%dT%H:%M:%S.%fZ")


class StatedPolicy(EndToEnd):
    """Two of three officers state each policy, with ssh-keygen; nobody else brings one into force."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.at.import_key("k")
        cls.at.ctl("down")
        lines = []
        for name in ("alice", "bob", "carol"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", cls.at.file(name)], check=True, timeout=30)
            with open(cls.at.file(name + ".pub")) as key:
                lines.append('[[officer]]\nname = "%s"\nkeys = ["%s"]\ngroups = ["officers"]\n'
                             % (name, " ".join(key.read().split()[:2])))
        with open(cls.at.file("allowed_officers"), "w") as text:
            text.write("version = 1\n" + "".join(lines))
        with open(cls.at.file("signer.toml"), "a") as text:
            text.write('[officers]\nfile = "allowed_officers"\ngroup = "officers"\nneed = 2\n')

    def write(self, serial, limits=""):
        with open(self.at.file("policy.toml"), "w") as text:
            text.write(POLICY % (serial, os.getuid(), "rule", limits))
        checked = self.at.json("policy", "check")
        self.assertEqual(checked["serial"], serial)
        return checked["sha256"]

    def state(self, ident, serial, sha256, officers=("alice", "bob")):
        text = "hsm-signer statement v1\nverb: policy\nhost: %s\nid: %s\npolicy-serial: %d\narg-sha256: %s\nexpires: %s\n" % (
            socket.gethostname(), ident, serial, sha256, stamp(600))
        bundle = text
        for name in officers:
            bundle += subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", "hsm-signer-v1", "-f", self.at.file(name)],
                                     input=text.encode(), capture_output=True, check=True, timeout=30).stdout.decode()
        with open(self.at.file("policy.toml.statement"), "w") as file:
            file.write(bundle)

    def refused(self, sentence, *verb):
        done = self.at.ctl(*verb, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(sentence, done.stderr.decode() + self.at.logs())

    def signs(self, payload):
        return self.at.sign("k", payload, check=False).returncode == 0

    def test_a_policy_needs_two_officers_a_rising_serial_and_a_statement_of_its_own(self):
        first = self.write(1)
        self.refused("2 distinct officers of group \"officers\" have to sign what hsm-signerctl statement make policy "
                     "--host %s --serial 1 --sha256 %s" % (socket.gethostname(), first), "up")
        self.at.ctl("down")
        self.state("r-1", 1, first, ("alice",))
        self.refused("approval_required", "up")
        self.at.ctl("down")
        self.state("r-1", 1, first)
        self.at.ctl("up")
        self.assertTrue(self.signs(ORDER))
        used = self.at.acts()[-1]
        self.assertEqual((used["action"], used["statement"], used["officers"]), ("statement_used", "r-1", "alice,bob"))

        # A reload: without a word of theirs, with that of the policy before, and with one of its own.
        second = self.write(2, 'sides = ["sell"]')
        self.refused("denied", "policy", "reload")
        os.unlink(self.at.file("policy.toml.statement"))
        self.refused("officers have not stated this policy", "policy", "reload")
        self.assertTrue(self.signs(ORDER))
        self.state("r-2", 2, second, ("bob", "carol"))
        elsewhere = self.at.file("stated-by-bob-and-carol")
        os.rename(self.at.file("policy.toml.statement"), elsewhere)
        self.assertEqual(self.at.json("policy", "reload", "--statement", elsewhere)["serial"], 2)
        self.assertFalse(self.signs(ORDER))
        record = self.at.acts()[-1]
        self.assertEqual((record["action"], record["statement"], record["officers"]), ("reload", "r-2", "bob,carol"))

        # The old one, though it was stated once, and after a restart as well; the new one starts without a statement.
        self.write(1)
        self.state("r-3", 1, first)
        self.refused("serial that rises", "policy", "reload")
        self.assertFalse(self.signs(ORDER))
        self.at.ctl("down")
        self.refused("serial that rises", "up")
        self.at.ctl("down")
        self.write(2, 'sides = ["sell"]')
        os.unlink(self.at.file("policy.toml.statement"))
        self.at.ctl("up")
        self.assertTrue(self.signs(READ))
        self.assertIn("2 distinct officers", self.at.ctl("status").stdout.decode())
        self.at.verify_audit()


if __name__ == "__main__":
    unittest.main()

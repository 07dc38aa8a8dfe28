"""Old records go on officers' word, with real daemons and the real ssh-keygen: what is left verifies by two programs that share no
code, proves what is kept, goes on over restarts and kills, and nobody lets anything go without the word."""

import collections
import contextlib
import datetime
import glob
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import unittest

from approvals_test import OfficersTest
from harness import run_as, test_user, wait_until

REQUEST = '{"request":"/v1/balances"}'  # Of a class that no window counts: what is counted stays for 31 days.
CHECK = os.path.join(os.path.dirname(__file__), "../../docs/audit_check.py")
WITHIN = 12  # Seconds that a statement counts here: until then its record stays.
KILLS = int(os.environ.get("HSM_KILLS", "6"))
SEED = int(os.environ.get("HSM_KILL_SEED", str(random.SystemRandom().randrange(1 << 32))))


KNOCK = """
import socket, sys
with socket.socket(socket.AF_UNIX) as knock:
    knock.connect(sys.argv[1])
    knock.settimeout(5)
    print(knock.recv(65536))
"""


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Retention(OfficersTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        at = cls.at
        at.ctl("down")
        at.edit("signer.toml", "version = 1\n", "version = 1\naudit_segment_bytes = 4096\n")
        at.ctl("up")
        at.import_key("desk")

    def sign(self, count=16):
        for _ in range(count):
            self.at.sign("desk", REQUEST)

    def segments(self):
        return sorted(int(os.path.basename(path)[6:-6]) for path in glob.glob(self.at.file("audit", "audit-0*.jsonl")))

    def states(self):
        return sorted(os.path.basename(path) for path in glob.glob(self.at.file("audit", "audit-retired-*")))

    def sealed(self):
        """What is there is under a checkpoint."""
        def all_sealed():
            return self.at.json("audit", "verify", self.at.file("audit"), "--key", self.at.file("audit.pub.pem"))["unsealed"] == 0
        wait_until(all_sealed, 20, "the log is sealed")

    def retention(self, before, *more, check=True):
        done = self.at.ctl("--json", "audit", "retention", "--before", before, *more, check=check)
        return json.loads(done.stdout) if check else done

    def statement(self, before, verb="retention", *names, within=WITHIN, sign=("alice", "bob")):
        path = os.path.join(self.at.path, "r%d.statement" % time.monotonic_ns())
        self.at.ctl("statement", "make", verb, "--before", before, "--within", "%ds" % within, "-o", path)
        self.sign_file(path, *sign)
        return path

    def stated(self, before):
        return self.retention(before, "--statement", self.statement(before))

    def verified(self, log=None):
        """By both programs; what ours says."""
        log = log or self.at.file("audit")
        key = self.at.file("audit.pub.pem")
        done = subprocess.run([sys.executable, CHECK, "log", log, key], capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.checked = done.stdout.decode()
        return self.at.json("audit", "verify", log, "--key", key)

    def not_verified(self, log):
        key = self.at.file("audit.pub.pem")
        done = subprocess.run([sys.executable, CHECK, "log", log, key], capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertEqual(self.at.ctl("audit", "verify", log, "--key", key, check=False).returncode, 4)

    def copy(self, name):
        log = os.path.join(self.at.path, name)
        shutil.copytree(self.at.file("audit"), log)
        return log

    def test_1_says_what_would_go_and_changes_nothing(self):
        self.sign(20)
        self.sealed()
        before = self.segments()
        self.assertGreater(len(before), 3)
        said = self.retention(now(), "--dry-run")
        self.assertEqual((said["first_segment"], said["seq"], said["sha256"]), (1, 0, ""))
        self.assertGreater(said["kept_from"], 2)
        self.assertGreater(said["bytes"], 4096)
        self.assertEqual(self.segments(), before)
        nothing = self.retention("2020-01-01")
        self.assertEqual((nothing["kept_from"], nothing["count"]), (1, 0))
        self.assertIn("audit-000001.jsonl stays", nothing["why"])
        self.assertEqual(self.states(), [])
        for time_ in ("2099-01-01", "yesterday", "2026-13-01", ""):
            self.assertEqual(self.retention(time_, check=False).returncode, 2, time_)

    def test_2_takes_no_stranger(self):
        """Whoever is no administrator gets one frame, and has asked nothing, even where the file's mode lets him in."""
        self.assertIn(b"PermissionError", run_as(test_user(), KNOCK, self.at.admin_socket).stderr)
        for path in (self.at.path, self.at.dir, self.at.file("run")):
            os.chmod(path, 0o755)
        os.chmod(self.at.admin_socket, 0o666)
        self.assertIn(b"unauthorized", run_as(test_user(), KNOCK, self.at.admin_socket).stdout)
        self.assertEqual(self.states(), [])

    def test_3_wants_the_word_of_officers(self):
        self.at.ctl("down")
        self.name_officers()
        self.state_policy_for(WITHIN)
        self.at.ctl("up")
        self.sealed()
        before = now()
        everything = self.segments()
        self.refused(self.retention(before, check=False), "approval_required", "retention")
        later = now()
        for path, code, words in (
                (self.statement(later), "denied", "another before"),
                (self.statement(before, sign=("alice",)), "approval_required", "alice"),
                (self.statement(before, within=1), "denied", "expired")):
            time.sleep(1.1 if words == "expired" else 0)
            self.refused(self.retention(before, "--statement", path, check=False), code, words)
        self.assertEqual(self.at.ctl("audit", "retention", "--before", before, "--dry-run", "--statement", path,
                                     check=False).returncode, 2)
        self.assertEqual(self.segments(), everything)
        self.assertNotIn("statement_used retention", [record.get("subject", "") for record in self.at.acts()])
        old = self.statement("2020-01-01T00:00:00.000000Z")
        self.assertEqual(self.retention("2020-01-01", "--statement", old)["count"], 0)
        self.assertFalse([record for record in self.at.acts() if record["subject"].startswith("retention before=2020")])

    def state_policy_for(self, seconds):
        path, checked = self.at.file("policy.toml.statement"), self.at.json("policy", "check")
        with open(self.at.file("policy.toml")) as text:
            content = text.read()
        if "serial = " not in content:
            with open(self.at.file("policy.toml"), "w") as text:
                text.write(content.replace("version = 1\n", "version = 1\nserial = 1\n", 1))
            checked = self.at.json("policy", "check")
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
        self.at.ctl("statement", "make", "policy", "--host", os.uname().nodename, "--serial", str(checked["serial"]),
                    "--sha256", checked["sha256"], "--within", "%ds" % seconds, "-o", path)
        self.sign_file(path, "alice", "bob")

    def test_4_goes_and_what_is_left_proves_itself(self):
        self.sign()
        self.sealed()
        archive = self.copy("archive")
        before = now()
        word = self.statement(before)
        gone = self.retention(before, "--statement", word)
        self.assertGreater(gone["count"], 20)
        self.assertEqual(self.segments()[0], gone["kept_from"])
        self.assertEqual(self.states(), ["audit-retired-%06d.json" % (gone["kept_from"] - 1)])
        self.assertEqual(os.stat(self.at.file("audit", self.states()[0])).st_mode & 0o7777, 0o400)
        self.refused(self.retention(before, "--statement", word, check=False), "denied", "before")
        log = self.verified()
        self.assertEqual(log["let_go"], gone["records"])
        said = "records 1 to %d were let go on " % gone["records"]
        self.assertIn(said, self.checked)
        self.assertIn("by alice,bob (retention record %d)" % gone["seq"], self.checked)
        self.assertTrue([one for one in log["findings"] if one["sentence"].startswith(said) and "alice,bob" in one["sentence"]])
        self.tampered(gone)
        self.proofs(gone["records"])
        self.restarted(gone)
        # An auditor who lays the archive's segments beside the others sees everything.
        whole = self.copy("whole")
        for path in glob.glob(os.path.join(archive, "audit-0*.jsonl")):
            if int(os.path.basename(path)[6:-6]) < gone["kept_from"]:
                shutil.copy(path, whole)
        self.assertEqual(self.verified(whole)["let_go"], 0)

    def tampered(self, gone):
        for what in ("count", "mark", "tree", "away"):
            log = self.copy("tampered-" + what)
            path = os.path.join(log, self.states()[0])
            os.chmod(path, 0o600)
            with open(path) as text:
                state = json.load(text)
            if what == "count":
                state["workers"][0]["last"] += 1
            if what == "mark":
                state["nonces"][0]["nonce"] = "1"
            if what == "tree":
                state["tree"][-1] = "00" * 32
            with open(path, "w") as text:
                text.write(json.dumps(state, separators=(",", ":")) + "\n")
            if what == "away":
                os.remove(path)
            self.not_verified(log)

    def proofs(self, records):
        log, key, proof = self.at.file("audit"), self.at.file("audit.pub.pem"), os.path.join(self.at.path, "proof")
        for seq in (records + 1, records + 2, records + 5):
            self.at.ctl("audit", "prove", log, "--seq", str(seq), "--key", key, "-o", proof)
            self.at.ctl("audit", "check-proof", proof, "--key", key)
            subprocess.run([sys.executable, CHECK, "proof", proof, key], check=True, capture_output=True, timeout=60)
        done = self.at.ctl("audit", "prove", log, "--seq", str(records), "--key", key, check=False)
        self.assertIn("archive", done.stderr.decode())
        self.at.ctl("audit", "consistency", log, "--from", str(records), "--key", key)
        done = self.at.ctl("audit", "consistency", log, "--from", str(records - 1), "--key", key, check=False)
        self.assertIn("archive", done.stderr.decode())
        first = self.at.ctl("--json", "audit", "query", log, "--limit", "1").stdout
        self.assertEqual(json.loads(first)["seq"], records + 1)
        self.at.ctl("audit", "tail", log)
        self.at.ctl("audit", "report", log, "--key", key, "-o", os.path.join(self.at.path, "report.html"))
        with open(os.path.join(self.at.path, "report.html")) as page:
            self.assertIn("were let go on", page.read())

    def restarted(self, gone):
        """The signer alone is killed: its worker lives on, and its counts are known."""
        first = int(self.at.sign("desk", REQUEST)["nonce"])
        for pid in self.at.pids("signerd"):
            os.kill(pid, signal.SIGKILL)
        self.at.ctl("up")
        self.assertGreater(int(self.at.sign("desk", REQUEST)["nonce"]), first)
        self.sealed()
        log = self.verified()
        self.assertEqual((log["gaps"], log["failures"]), (0, 0))
        self.assertEqual(log["let_go"], gone["records"])

    def test_5_goes_again_and_through_kills(self):
        chance = random.Random(SEED)
        print("HSM_KILL_SEED=%d" % SEED)
        time.sleep(WITHIN)
        ends = collections.Counter()
        for kill in range(KILLS):
            first = self.segments()[0]
            self.sign(8)
            self.sealed()
            before = now()
            words = self.at.command("audit", "retention", "--before", before, "--statement", self.statement(before, within=3))
            asked = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0, 0.25))
            for pid in self.at.pids("signerd"):
                os.kill(pid, signal.SIGKILL)
            asked.wait(60)
            self.verified()
            self.at.ctl("up")
            self.sign(1)

            def ended():
                log = self.verified()
                files = [one["file"] for one in log["findings"] if "come to its end" in one["sentence"]]
                return not files
            wait_until(ended, 20, "what was begun is ended or taken back")
            self.assertEqual(self.states(), ["audit-retired-%06d.json" % (self.segments()[0] - 1)])
            ends["all went" if self.segments()[0] > first else "nothing went"] += 1
            time.sleep(3)  # Until the statement is over, and its record may go.
        print(dict(ends))
        self.sign()
        self.sealed()
        gone = self.stated(now())
        self.assertGreater(gone["count"], 0)
        self.assertEqual(self.verified()["let_go"], gone["records"])
        self.at.ctl("down")
        self.at.ctl("up")
        self.verified()


if __name__ == "__main__":
    unittest.main()

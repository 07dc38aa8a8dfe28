"""What hsm-tokend's workers say of themselves, and what state.db and the log know of each other, over kills, a signer that
was taken over, and backups that were brought back."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import unittest

from ceiling_test import mac_fields, payload
from harness import Directory, program, wait_until

BALANCES = '{"request":"/v1/balances"}'
ORDER = '{"request":"/v1/order/new","symbol":"btcusd","amount":"1","price":"1","side":"buy","type":"exchange limit"}'
CANCEL = '{"request":"/v1/order/cancel","order_id":1}'
CHECK = os.path.join(os.path.dirname(__file__), "../../docs/audit_check.py")


class Accounts(unittest.TestCase):
    def setUp(self):
        self.at = Directory(workers=2)
        self.addCleanup(self.at.close)
        self.at.import_key("desk")

    def of_kind(self, kind):
        return [record for record in self.at.audit_records() if record["kind"] == kind]

    def verified(self):
        """What verify says, of a log that two programs with nothing in common pass."""
        done = subprocess.run([sys.executable, CHECK, "log", self.at.file("audit"), self.at.file("audit.pub.pem")],
                              capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return self.at.verify_audit().stdout.decode()

    def kill_signer(self):
        for pid in self.at.pids("signerd"):
            os.kill(pid, signal.SIGKILL)

    def test_each_worker_confirms_what_it_has_signed(self):
        for _ in range(20):
            self.at.sign("desk", BALANCES)
        self.at.ctl("down")
        counts = {}
        for record in self.of_kind("sign"):
            counts[record["worker"]] = record["worker_counter"]
        said = {record["worker"]: record["worker_counter"] for record in self.of_kind("usage")}
        self.assertEqual(said, counts)
        self.assertNotIn("warning", self.verified())

    def test_the_log_says_which_programs_ran(self):
        self.at.ctl("down")
        (start,) = self.of_kind("start")
        with open(program("hsm-signerd"), "rb") as binary:
            self.assertEqual(start["binary_sha256"], hashlib.sha256(binary.read()).hexdigest())
        came = [record["detail"] for record in self.of_kind("token") if record["event"] == "worker_up"]
        with open(program("hsm-tokend"), "rb") as binary:
            self.assertIn(hashlib.sha256(binary.read()).hexdigest(), came[0])

    def test_a_killed_signers_workers_tell_the_next_one_what_they_had_signed(self):
        stop = threading.Event()

        def load():
            while not stop.is_set():
                self.at.sign("desk", BALANCES, check=False)
        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(5):
                wait_until(lambda before=len(self.of_kind("sign")): len(self.of_kind("sign")) > before + 3)
                self.kill_signer()
                self.at.ctl("up")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.at.sign("desk", BALANCES)
        wait_until(lambda: not [name for name in os.listdir(self.token_state()) if name.startswith("ended-")] or
                   self.at.sign("desk", BALANCES, check=False) is None, what="last words are recorded and forgotten")
        self.at.ctl("down")
        found = self.verified()
        self.assertNotIn("confirmed by no usage record", found)

    def token_state(self):
        for folder, _, names in os.walk(self.at.dir):
            if "rates" in names:
                return folder
        raise AssertionError("no directory of a token host")

    def test_macs_that_a_taken_over_signer_hides_are_told_to_the_next_honest_one(self):
        self.at.sign("desk", BALANCES)
        (version,) = self.at.json("key", "list")["keys"]
        self.kill_signer()
        peer = self.at.worker()
        for nonce in (1, 2, 3):
            answer = peer.ask("mac", mac_fields(payload('{"request":"/v1/balances","nonce":%d}' % nonce),
                                                          label=b"desk.v1", cka_id=version["cka_id"]))
            self.assertNotIn("code", answer)
        peer.socket.close()
        wait_until(lambda: len([name for name in os.listdir(self.token_state()) if name.startswith("ended-")]) >= 2,
                   what="both workers have said their last words")
        self.at.ctl("up")
        self.at.sign("desk", BALANCES)
        self.at.ctl("down")
        gaps = self.of_kind("gap")
        self.assertEqual([(gap["from"], gap["to"]) for gap in gaps], [(1, 3)])
        self.assertIn("made 3 MACs at most (1 to 3) without a record", self.verified())

    def test_an_old_copy_of_the_state_signs_cancels_only_until_it_is_thawed(self):
        self.at.sign("desk", ORDER)
        self.at.ctl("down")
        for name in os.listdir(self.at.dir):
            if name.startswith("state.db"):
                shutil.copy(self.at.file(name), self.at.file("old-" + name))
        for _ in range(2):
            self.at.ctl("up")
            last = self.at.sign("desk", ORDER)
            self.at.ctl("down")
        for name in os.listdir(self.at.dir):
            if name.startswith("state.db"):
                os.unlink(self.at.file(name))
        for name in os.listdir(self.at.dir):
            if name.startswith("old-state.db"):
                shutil.copy(self.at.file(name), self.at.file(name[4:]))
        self.at.ctl("up")
        refused = self.at.sign("desk", ORDER, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("older than the audit log", refused.stderr.decode())
        self.assertGreater(int(self.at.sign("desk", CANCEL)["nonce"]), int(last["nonce"]))
        self.assertIn("older than the audit log", self.at.ctl("switches").stdout.decode())
        self.at.ctl("down")
        self.at.ctl("up")
        self.assertEqual(self.at.sign("desk", ORDER, check=False).returncode, 1, "a restart forgets it")
        self.at.ctl("thaw", "--all", "--reason", "keys and policy are right")
        self.assertGreater(int(self.at.sign("desk", ORDER)["nonce"]), int(last["nonce"]))
        self.at.ctl("down")
        acts = [(record["action"], record["subject"]) for record in self.of_kind("admin")]
        self.assertEqual([act for act in acts if act[1] == "all"], [("cancel_only", "all"), ("thaw", "all")])
        self.verified()


if __name__ == "__main__":
    unittest.main()

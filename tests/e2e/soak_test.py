"""Minutes of everything at once: two honest programs, hostile ones, workers that are killed, a log that is rotated. Behind it
every promise must stand and nothing may have grown. HSM_SOAK_MINUTES says how long; default 5. HSM_SOAK_TIMEOUT: the seconds
after which ctest would kill it."""

import os
import random
import shutil
import signal
import time
import unittest

import hostile
from harness import wait_until
from load import Load
from siege import Besieged, descriptors, descriptors_back, known, memory, signs, unknown

MINUTES = float(os.environ.get("HSM_SOAK_MINUTES", "5"))
TIMEOUT = float(os.environ.get("HSM_SOAK_TIMEOUT", "inf"))
AFTERWARDS = 300  # Seconds, at most, in which what was done is judged.
# Signatures of an attacker's own key would fill the disk rather than show anything: hostile_long has them.
KINDS = [kind for kind in hostile.KINDS if kind != "FloodOfSignatures"]
# What may happen to a request whose worker is killed, or that comes while there is none.
EXCUSES = {"token_unavailable", "deadline_exceeded", "overloaded"}
SPARE_KB = 4 * 1024
ROUNDS = 5  # Of an episode.


class Soak(unittest.TestCase):
    def setUp(self):
        self.assertLessEqual(60 * MINUTES + AFTERWARDS, TIMEOUT, "HSM_SOAK_MINUTES is more than the test has time for: "
                             "soak_timeout in tests/e2e/CMakeLists.txt")
        self.at = Besieged(workers=2)
        self.addCleanup(self.at.close)
        self.at.import_key("honest.caller", api_key="account-honest-caller", nonce="caller-ms")
        self.loads = [Load(self.at.socket, self.at.file("receipts"), "honest"),
                      Load(self.at.socket, self.at.file("receipts.caller"), "honest.caller", form="caller-ms", depth=4)]
        for load in self.loads:
            self.addCleanup(load.close)
        self.receipts = [[] for _ in self.loads]
        self.kills = self.rotations = 0

    def rotate(self):
        """As logrotate's copytruncate does."""
        log = self.at.file("log", "hsm-signerd.log")
        shutil.copy(log, log + ".1")
        os.truncate(log, 0)
        self.rotations += 1

    def kill_a_worker(self):
        workers = self.at.workers_named("--signing-worker")
        if workers:
            os.kill(random.choice(workers), signal.SIGKILL)
            self.kills += 1

    def round(self):
        """A second of load with a worker killed in its midst, then a breath."""
        with self.loads[0].running(), self.loads[1].running():
            time.sleep(random.uniform(0.3, 0.7))
            self.kill_a_worker()
            time.sleep(0.5)
        for load, receipts in zip(self.loads, self.receipts):
            receipts += load.read()
        time.sleep(1)

    def episode(self):
        """Some rounds under attack; what the signer has resident when the attackers have gone."""
        with self.at.attack(known(), connections=700, cpu=0.1, again=True, kinds=KINDS):
            with self.at.attack(unknown(), connections=50, cpu=0.05, again=True, kinds=["Storm", "Garbage", "Silent"]):
                for _ in range(ROUNDS):
                    self.round()
        self.rotate()
        descriptors_back(self.pid, self.descriptors + len(self.loads))
        return memory(self.pid)["RssAnon"]

    def test_everything_at_once_and_every_promise_stands_behind_it(self):
        self.pid, self.descriptors = self.at.signer, descriptors(self.at.signer)
        sizes, end = [], time.monotonic() + 60 * MINUTES
        while time.monotonic() < end:
            sizes.append(self.episode())
        self.assertEqual(self.at.signer, self.pid)
        self.stands(sizes)

    def stands(self, sizes):
        signed = sum(map(len, self.receipts))
        print("\n%d signatures, %d workers killed, log rotated %d times; refused: %s" % (
            signed, self.kills, self.rotations, [load.refusals for load in self.loads]))
        wait_until(lambda: len(self.at.workers_named("--signing-worker")) == 2, what="both workers are back")
        with self.at.honest() as honest:
            signs(honest)
        self.at.verify_audit()
        records = {record["seq"]: record for record in self.at.audit_records()}
        for receipts, load in zip(self.receipts, self.loads):
            self.assertGreater(len(receipts), 100)
            self.assertLessEqual(set(load.refusals), EXCUSES)
            nonces = [int(receipt["nonce"]) for receipt in receipts]
            self.assertEqual(nonces, sorted(set(nonces)), "nonces rise")
            for receipt in receipts:
                record = records[receipt["seq"]]
                self.assertEqual((record["verdict"], record["nonce"], record["signature_sha256"]),
                                 ("allow", receipt["nonce"], receipt["signature_sha256"]))
        self.flat(sizes)
        # Behind each truncation the daemon writes at the new end: no hole, and no more than its ten lines a second.
        log = self.at.file("log", "hsm-signerd.log")
        self.assertLess(os.path.getsize(log), 4 * 1024 * 1024)
        with open(log, "rb") as text:
            self.assertFalse(b"\0" in text.read(), "the log has a hole")

    def flat(self, sizes):
        print("RssAnon behind each episode: %s kB" % sizes)
        if len(sizes) < 8:
            print("too few of them for a comparison")
            return
        # The least of a quarter: what malloc keeps of an episode comes and goes, what leaks stays.
        quarter = len(sizes) // 4
        early, late = min(sizes[quarter:2 * quarter]), min(sizes[-quarter:])
        print("least of the second quarter %d kB, of the last %d kB" % (early, late))
        self.assertLess(late - early, max(SPARE_KB, 0.02 * early))


if __name__ == "__main__":
    unittest.main()

"""Every process is killed with SIGKILL, at random moments under load and at each system call of what changes something;
afterwards nonces, log, registry and token are what they should be.

HSM_KILLS says how many random kills of each process (10 when absent), HSM_KILL_SEED repeats a run."""

import os
import random
import signal
import subprocess
import time
import unittest

from harness import stopped, wait_until
from kills import SECRETS, Lives, Site, Witness, alive, under_load

KILLS = int(os.environ.get("HSM_KILLS", "10"))
SEED = int(os.environ.get("HSM_KILL_SEED", str(random.SystemRandom().randrange(1 << 32))))
LONGEST = 0.08  # Of load before a kill, in seconds.


class RandomKills(unittest.TestCase):
    def setUp(self):
        self.random = random.Random("%d %s" % (SEED, self.id()))
        self.site = Site()
        self.addCleanup(self.site.close)
        self.site.with_keys()
        self.witness = Witness(self.site)
        self.witness.test = self
        self.loads = [self.site.load(key) for key in SECRETS]
        for load in self.loads:
            self.addCleanup(load.close)
        self.began = time.monotonic()

    def moment(self, longest=LONGEST):
        time.sleep(self.random.uniform(0, longest))

    def receipts(self):
        return [item for load in self.loads for item in load.read()]

    def signs_again(self):
        """Under load every key gives signatures again whose nonces the signer draws: a caller's nonces have to wait
        until they are above what was reserved for the dead one."""
        waiting = set(SECRETS) - {"kill.caller"}
        self.witness.judge(self.receipts())

        def all_came():
            came = self.receipts()
            self.witness.judge(came)
            waiting.difference_update(item["key"] for item in came)
            return not waiting
        with under_load(self.loads):
            wait_until(all_came, 30, "signatures of %s" % sorted(waiting))

    def report(self, what):
        seconds = time.monotonic() - self.began
        print("%s: %d kills in %.1f s, %d signatures received, %d records, refusals %s; HSM_KILL_SEED=%d" % (
            what, KILLS, seconds, self.witness.signatures(), self.witness.size,
            {load.keys[0]: load.refusals for load in self.loads}, SEED))

    def holds(self):
        self.site.wait_ready()
        self.signs_again()
        self.witness.rises()
        time.sleep(1.1)  # Sealed once more.
        self.witness.verifies()
        self.site.ctl("key", "check")
        self.assertEqual(self.site.token_labels(), [name + ".v1" for name in sorted(SECRETS)])

    def test_a_killed_signer_repeats_no_nonce_and_every_signature_received_is_in_its_log(self):
        for _ in range(KILLS):
            with under_load(self.loads):
                self.moment()
                self.site.kill("signerd")
            self.site.start("signerd")
            if self.random.random() < 0.25:  # And once more while it starts.
                self.moment()
                self.site.kill("signerd")
                self.site.start("signerd")
            self.site.wait_ready()
            self.signs_again()
        self.assertGreaterEqual(self.witness.starts, KILLS)
        self.holds()
        self.report("signer")

    def test_workers_of_a_killed_supervisor_end_and_the_next_one_serves(self):
        for _ in range(KILLS):
            orphans = self.site.running_workers()
            self.assertGreaterEqual(len(orphans), 2)
            with under_load(self.loads):
                self.moment()
                self.site.kill("tokend")
            self.site.start("tokend")
            wait_until(lambda left=orphans: not any(alive(pid) for pid in left), what="the orphans end")
            self.site.wait_ready()
            self.signs_again()
        self.holds()
        self.report("supervisor")

    def test_a_supervisor_waits_for_workers_of_a_dead_one_that_cannot_end_yet(self):
        with stopped(self.site.running_workers()):
            self.site.kill("tokend")
            self.site.start("tokend")
            time.sleep(0.5)
            self.assertIsNone(self.site.processes["tokend"].poll(), "it gave up")
        self.site.wait_ready()
        self.signs_again()

    def test_a_killed_worker_is_replaced_and_nothing_it_signed_is_lost_once_received(self):
        for _ in range(KILLS):
            victim = self.random.choice(sorted(self.site.running_workers()))
            with under_load(self.loads):
                self.moment()
                os.kill(victim, signal.SIGKILL)
            wait_until(lambda pid=victim: not alive(pid), what="the worker dies")
            self.site.wait_ready()
            self.signs_again()
        self.holds()
        self.report("worker")


class RandomKillsOfCtl(Lives, unittest.TestCase):
    """hsm-signerctl dies in the middle of imports, activations and destroys, while keys sign."""

    def setUp(self):
        self.random = random.Random("%d %s" % (SEED, self.id()))
        self.open_site()
        self.addCleanup(self.site.close)
        self.witness.test = self
        self.loads = [self.site.load("kill.os"), self.site.load("kill.fsync")]
        for load in self.loads:
            self.addCleanup(load.close)

    def interrupted(self, *arguments, secret=""):
        """Whether hsm-signerctl was killed before it was done: at a random moment of the time it took before."""
        verb = arguments[:2]
        self.site.admin_worker()
        with subprocess.Popen(self.site.command(*arguments), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as ctl:
            with under_load(self.loads):
                began = time.monotonic()
                ctl.stdin.write(secret.encode())
                ctl.stdin.close()
                try:
                    ctl.wait(self.random.uniform(0, self.takes[verb]) if verb in self.takes else 30)
                    self.takes[verb] = 1.1 * (time.monotonic() - began)
                except subprocess.TimeoutExpired:
                    ctl.kill()
        return ctl.returncode == -signal.SIGKILL

    def one_life(self, name):
        """How many of import, activate and destroy were killed."""
        killed = self.interrupted(*self.import_words(name), secret=self.secret_of(name))
        killed += self.interrupted("key", "check", name, "--mend")
        state = self.mended(name)
        self.states[state] = self.states.get(state, 0) + 1
        if state == "active":
            killed += self.interrupted("key", "destroy", name, "--yes")
        self.ends(name)
        self.witness.judge([item for load in self.loads for item in load.read()])
        return killed

    def test_a_killed_hsm_signerctl_leaves_what_key_check_mends_and_no_half_key(self):
        self.takes, self.states = {}, {}
        began, lives, killed = time.monotonic(), 0, 0
        while killed < KILLS and lives < 4 * KILLS:
            lives += 1
            killed += self.one_life("ctl-%d" % lives)
        self.assertGreaterEqual(killed, KILLS)
        self.whole()
        print("hsm-signerctl: %d kills in %.1f s over %d keys, which were then %s; %d signatures received; "
              "HSM_KILL_SEED=%d" % (killed, time.monotonic() - began, lives, self.states, self.witness.signatures(),
                                    SEED))


if __name__ == "__main__":
    unittest.main()

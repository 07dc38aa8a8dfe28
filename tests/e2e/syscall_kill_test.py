"""Import, destroy, nonce reservation and audit append, each killed at its 1st, 2nd, 3rd … system call until it completes:
no half key, registry and token agree, no nonce repeats or falls, no signature without its record.

HSM_SYSCALL_KILLS says at how many of its calls each is killed (4 when absent, drawn anew in each run), or "all";
HSM_KILL_SEED repeats a run."""

import itertools
import os
import random
import re
import shutil
import signal
import sqlite3
import time
import unittest

from harness import program, wait_until
from killed import Killed
from kills import Lives, alive

HOW_MANY = os.environ.get("HSM_SYSCALL_KILLS", "4")
SEED = int(os.environ.get("HSM_KILL_SEED", str(random.SystemRandom().randrange(1 << 32))))
NEVER = 1 << 30


class EverySyscall(Lives, unittest.TestCase):
    numbers = itertools.count(1)

    @classmethod
    def setUpClass(cls):
        cls.open_site()
        cls.addClassCleanup(cls.site.close)

    def setUp(self):
        self.random = random.Random("%d %s" % (SEED, self.id()))
        self.witness.test = self
        self.husks = 0
        self.at = set()  # Numbers of the calls before which somebody died.

    def nths(self, calls):
        """At which calls to kill; `calls` were made when nobody was killed."""
        if HOW_MANY != "all":
            yield from sorted(self.random.sample(range(1, calls + 1), min(int(HOW_MANY), calls)))
            return
        # The signer's threads do not make exactly as many each time.
        for nth in range(1, 2 * calls):
            if self.completed and nth > calls:
                return
            yield nth
        self.fail("it was killed at twice as many calls as it makes")

    def each(self, what, once):
        """`once(n)` kills at the n-th call, checks, and returns (calls seen, number of the call or None)."""
        self.go_on()
        began, kills = time.monotonic(), 0
        calls, call = once(NEVER)
        self.assertIsNone(call)
        self.assertGreater(calls, 10)
        self.completed = False
        for nth in self.nths(calls):
            good = False
            with self.subTest(what=what, nth=nth, seed=SEED):
                _, call = once(nth)
                good = True
            if not good:
                self.go_on()
            self.completed = call is None
            kills += not self.completed
            self.at.add(call)
        self.assertGreater(kills, 0, "nobody was killed, so nothing was shown")
        self.whole()
        print("%s: %d calls, killed at %d of them (%d kinds), %d husks, in %.1f s; HSM_KILL_SEED=%d" % (
            what, calls, kills, len(self.at - {None}), self.husks, time.monotonic() - began, SEED))

    def go_on(self):
        """After a round that may have failed half-way, so that the next one shows what it shows by itself."""
        self.site.revive()
        type(self).baseline = self.site.object_files()

    def new_name(self):
        return "life-%d" % next(self.numbers)

    def imported(self):
        name = self.new_name()
        self.site.ctl(*self.import_words(name), stdin=self.secret_of(name).encode())
        return name

    # Who is killed while hsm-signerctl runs these words.

    def killing_admin_worker(self, nth, words, stdin=b""):
        victim = self.site.admin_worker()
        killed = Killed(nth, victim)
        self.site.ctl(*words, stdin=stdin, check=False)
        wait_until(lambda: not alive(victim), what="the admin worker ends, it serves one connection")
        result = killed.result(end=False)
        self.site.admin_worker()
        return result

    def killing_signer(self, nth, words, stdin=b""):
        killed = Killed(nth, self.site.pid("signerd"))
        self.site.ctl(*words, stdin=stdin, check=False)
        return self.restarted(killed)

    def restarted(self, killed):
        result = killed.result(end=True)
        if result[1] is None:
            self.assertIsNone(self.site.processes["signerd"].poll(), "the signer ended by itself")
        else:
            self.site.reap("signerd")
            self.site.start("signerd")
        self.site.wait_ready()
        return result

    def killing_ctl(self, nth, words, stdin=b""):
        self.site.admin_worker()
        killed = Killed(nth, "--from=socket", *self.site.command(*words), stdin=stdin)
        return killed.result(end=False)

    def import_killed(self, kill, nth):
        name = self.new_name()
        result = kill(nth, self.import_words(name), self.secret_of(name).encode())
        self.ends(name)
        return result

    def destroy_killed(self, kill, nth):
        name = self.imported()
        result = kill(nth, ("key", "destroy", name, "--yes"))
        self.ends(name)
        return result

    def test_import_with_the_admin_worker_killed(self):
        self.each("import, admin worker", lambda nth: self.import_killed(self.killing_admin_worker, nth))

    def test_import_with_hsm_signerctl_killed(self):
        self.each("import, hsm-signerctl", lambda nth: self.import_killed(self.killing_ctl, nth))

    def test_import_with_the_signer_killed(self):
        self.each("import, signer", lambda nth: self.import_killed(self.killing_signer, nth))

    def test_destroy_with_the_admin_worker_killed(self):
        self.each("destroy, admin worker", lambda nth: self.destroy_killed(self.killing_admin_worker, nth))

    def test_destroy_with_hsm_signerctl_killed(self):
        self.each("destroy, hsm-signerctl", lambda nth: self.destroy_killed(self.killing_ctl, nth))

    def test_destroy_with_the_signer_killed(self):
        self.each("destroy, signer", lambda nth: self.destroy_killed(self.killing_signer, nth))

    # The first signature of a key after a start reserves nonces, and within a second of a record it is sealed.

    def durable_mark(self, key):
        """What the state on disk has reserved for this key, read from a copy while nobody runs: SQLite would write."""
        copy = os.path.join(self.site.path, "copy.db")
        for end in ("", "-wal"):
            if os.path.exists(copy + end):
                os.unlink(copy + end)
            if os.path.exists(self.site.file("state.db" + end)):
                shutil.copy(self.site.file("state.db" + end), copy + end)
        state = sqlite3.connect(copy)
        try:
            rows = state.execute("SELECT last FROM mark WHERE scope = ?",
                                 ("nonce/account-" + key.replace(".", "-"),)).fetchall()
        finally:
            state.close()
        return int.from_bytes(rows[0][0], "big") // 10**9 if rows else 0

    def sealed(self):
        with open(self.site.file("audit", "checkpoints"), encoding="utf-8") as notes:
            sizes = re.findall(r"^[^\n]+\n(\d+)\n[A-Za-z0-9+/=]{44}\n\n\u2014 [^\n]+\n\n", notes.read(), re.MULTILINE)
        return int(sizes[-1]) if sizes else 0

    def sign_killed(self, key, nth):
        self.site.kill("signerd")
        self.site.start("signerd")
        self.site.wait_ready()
        pid = self.site.pid("signerd")
        killed = Killed(nth, pid)
        receipt = self.site.sign_once(key)
        self.witness.read_log()

        def over():
            self.witness.read_log()
            return not alive(pid) or self.sealed() == self.witness.size
        wait_until(over, what="the signer dies or seals")
        time.sleep(0.02)  # The state remembers the seal.
        result = killed.result(end=True)
        self.site.kill("signerd")
        self.judge_after_death(key, receipt)
        return result

    def judge_after_death(self, key, receipt):
        """`receipt` is what the client got; the signer is dead."""
        if receipt is not None:
            self.assertIn("nonce", receipt)
            self.witness.judge([receipt])
        self.witness.read_log()
        reserved = self.durable_mark(key)
        self.assertLessEqual(self.witness.marks["account-" + key.replace(".", "-")], reserved,
                             "a nonce left that was not reserved on disk")
        self.site.start("signerd")
        self.site.wait_ready()
        again = self.site.sign_once(key)
        self.witness.judge([again])
        self.assertGreater(int(again["nonce"]), reserved, "what the dead one had reserved may have left")
        self.witness.verifies()

    def test_a_first_signature_with_os_durability_killed_from_reservation_to_seal(self):
        self.site.sign_once("kill.os")
        self.each("reservation, append and seal with os", lambda nth: self.sign_killed("kill.os", nth))

    def test_a_first_signature_with_fsync_durability_killed_from_reservation_to_seal(self):
        self.site.sign_once("kill.fsync")
        self.each("reservation, append and seal with fsync", lambda nth: self.sign_killed("kill.fsync", nth))

    # A start reads the log back, cuts what is torn, counts the epoch up and writes its own record.

    def start_killed(self, nth):
        self.site.kill("signerd")
        with open(self.site.file("audit", "audit-000001.jsonl"), "ab") as log:
            log.write(b'{"v":1,"seq":')  # As a kill in the middle of a write would leave it.
        command = [program("hsm-signerd"), "--config", self.site.file("signer.toml")]
        killed = Killed(nth, "--from=mkdir", *command)
        wait_until(lambda: killed.process.poll() is not None or self.site.ready(), what="the signer dies or serves")
        receipt = self.site.sign_once("kill.os")
        result = killed.result(end=True)
        if alive(killed.pid):
            os.kill(killed.pid, signal.SIGKILL)
            wait_until(lambda: not alive(killed.pid), what="the signer dies")
        self.judge_after_death("kill.os", receipt)
        return result

    def test_a_start_on_a_torn_log_killed_until_it_serves(self):
        self.site.sign_once("kill.os")
        self.each("start", self.start_killed)


if __name__ == "__main__":
    unittest.main()

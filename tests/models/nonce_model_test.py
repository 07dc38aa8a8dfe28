"""nonce.pml in the whole of its bounds: the properties hold, and without any one guard they do not."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "nonce.pml")
DEPTH = 100000
LARGE = os.environ.get("HSM_MODEL_LARGE") == "1"
SECONDS = 1800 if LARGE else 240  # For one search, on a machine that has other things to do.

# The least in which each guard that is left out is missed. LARGE: blocks that are refilled before they are empty.
BOUNDS = {
    "signer": {"TOP": 8, "BLOCK": 4, "CLOCK": 2} if LARGE else {"TOP": 6, "BLOCK": 2, "CLOCK": 2},
    "caller": {"TOP": 6, "BLOCK": 2} if LARGE else {"TOP": 5, "BLOCK": 2},
    "panic": {"TOP": 6, "BLOCK": 3, "CLOCK": 2} if LARGE else {"TOP": 5, "BLOCK": 2, "CLOCK": 1},
    "answered": {"TOP": 6, "BLOCK": 4, "CLOCK": 1} if LARGE else {"TOP": 4, "BLOCK": 2, "CLOCK": 1},
    "lock": {"TOP": 5, "BLOCK": 2, "CLOCK": 1} if LARGE else {"TOP": 3, "BLOCK": 2, "CLOCK": 1},
}
FORMS = {"caller": ["CALLER"], "panic": ["CALLER", "PANIC"]}


def missing():
    for program, package in (("spin", "spin"), ("cc", "gcc"), ("cpp", "cpp")):
        if shutil.which(program) is None:
            return "%s is not installed (Debian: %s)" % (program, package)
    return None


class Search:
    """One exhaustive search, and what pan says of it."""

    def __init__(self, bounds, *options, fair=False, check=False):
        defines = ["-D%s=%d" % bound for bound in BOUNDS[bounds].items()]
        defines += ["-D" + option for option in FORMS.get(bounds, []) + list(options)]
        how = (["-DNFAIR=5"] if fair else ["-DSAFETY"]) + (["-DCOLLAPSE"] if LARGE else [])
        # A compiler that optimises takes longer than a search that ends soon.
        how.append("-O1" if check else "-O0")
        with tempfile.TemporaryDirectory() as folder:
            self.run(folder, ["spin", "-a", *defines, MODEL])
            self.run(folder, ["cc", "-w", *how, "-o", "pan", "pan.c"])
            self.text = self.run(folder, ["./pan", "-m%d" % DEPTH, "-w22"] + (["-a", "-f"] if fair else []))
        self.name = " ".join([bounds, *options, *(["fair"] if fair else [])])
        self.errors = int(self.found(r"errors: (\d+)"))
        self.states = int(float(self.found(r"([\d.e+]+) states, stored")))
        violated = re.search(r"pan:\d+: (.*) \(at depth \d+\)", self.text)
        self.violated = violated.group(1) if violated else ""
        print("%s: %d states, %s s, %s" % (self.name, self.states, self.found(r"elapsed time ([\d.e+-]+)"),
                                          self.violated or "holds"), file=sys.stderr)

    @staticmethod
    def run(folder, command):
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              timeout=SECONDS, text=True)
        if done.returncode != 0:
            raise AssertionError("%s: %s" % (" ".join(command), done.stdout))
        return done.stdout

    def found(self, pattern):
        match = re.search(pattern, self.text)
        if match is None:
            raise AssertionError("pan did not say %s: %s" % (pattern, self.text))
        return match.group(1)

    def complete(self):
        """Whether nothing was left out: neither depth nor memory ended it, nor a hash that cannot tell states."""
        cut = ("max search depth too small", "Search not completed", "out of memory", "Bit statespace", "hash-compact")
        return not any(word in self.text for word in cut)

    def never_done(self):
        """Statements that no run comes to, besides the ends of processes that do not end."""
        return [line for line in re.findall(r'state \d+, "(.*)"', self.text) if line != "-end-"]


@unittest.skipIf(missing(), missing())
class NonceModel(unittest.TestCase):
    def holds(self, *search, **how):
        found = Search(*search, check=True, **how)
        self.assertEqual((found.errors, found.violated), (0, ""), found.text)
        self.assertTrue(found.complete(), found.text)
        self.assertGreater(found.states, 10000)  # Or nothing was shown.
        return found

    def fails(self, violated, *search, **how):
        found = Search(*search, **how)
        self.assertEqual(found.errors, 1, found.text)
        self.assertRegex(found.violated, violated)

    def test_what_the_signer_draws_rises_whatever_comes_in_between(self):
        found = self.holds("signer")
        # At a clean stop nothing is left in state's queue for forget() to drop.
        self.assertEqual(found.never_done(), ["jobs?kind,last,by"])

    def test_what_callers_bring_rises_whatever_comes_in_between(self):
        self.holds("caller")

    def test_what_a_panic_draws_rises_above_what_callers_brought(self):
        self.holds("panic")

    def test_who_asks_for_a_nonce_of_the_signer_is_answered(self):
        self.holds("answered", "ANSWERED=0", fair=True)

    def test_who_brings_a_nonce_is_answered(self):
        self.holds("answered", "ANSWERED=0", "CALLER", fair=True)

    def test_each_guard_of_reservations_is_needed(self):
        for guard in ("NO_DURABLE_WRITE", "MARK_LOWERED", "NO_SKIP", "SETTLE_THEN_USE", "LATE_ANSWER_TAKEN",
                      "BLOCK_KEPT"):
            with self.subTest(guard):
                self.fails(r"assertion violated \((value>drawn|nonce\[.\]>(logged|released))\)", "signer", guard)

    def test_a_late_answer_of_a_callers_key_is_guarded_against_too(self):
        self.fails(r"assertion violated", "caller", "LATE_ANSWER_TAKEN")

    def test_the_log_is_needed_behind_a_state_that_was_brought_back(self):
        self.fails(r"assertion violated \((value>drawn|nonce\[.\]>(logged|released))\)", "signer", "NO_LOG_MARKS")

    def test_the_state_is_told_of_the_logs_marks_lest_the_log_is_given_up_next(self):
        self.fails(r"assertion violated", "signer", "MARKS_UNTOLD")

    def test_what_was_admitted_before_a_panic_is_looked_at_again_behind_it(self):
        self.fails(r"assertion violated \(nonce\[0\]>logged\)", "panic", "OVERTAKEN_SIGNED")

    def test_a_record_is_needed_before_its_answer_leaves(self):
        self.fails(r"assertion violated \(nonce\[.\]>released\)", "signer", "RELEASE_FIRST")

    def test_the_order_of_lanes_is_needed(self):
        self.fails(r"assertion violated \(nonce\[.\]>logged\)", "signer", "NO_PIN")
        self.fails(r"assertion violated \(nonce\[.\]>logged\)", "caller", "NO_ORDER")

    def test_epochs_are_needed_only_where_two_processes_have_the_state(self):
        self.holds("lock", "NO_EPOCH")
        self.holds("lock", "NO_LOCK")
        self.fails(r"assertion violated \(value>drawn\)", "lock", "NO_LOCK", "NO_EPOCH")

    def test_who_waits_hears_of_a_write_that_failed(self):
        for guard in ("FAILED_STAYS_ASKED", "WAITERS_FORGOTTEN"):
            with self.subTest(guard):
                self.fails("acceptance cycle", "answered", "ANSWERED=0", guard, fair=True)

    def test_what_is_assumed_is_needed(self):
        self.fails(r"assertion violated", "signer", "LOSE_BOTH")


if __name__ == "__main__":
    unittest.main()

"""What a CI run says at its end, and why tests were skipped: .ci/stages.sh and .ci/skips.sh over output of ctest 3.25.

usage: stages_test.py [-v] TOP
"""

import os
import subprocess
import sys
import tempfile
import unittest

TOP = os.path.abspath(sys.argv.pop())

GOOD = "100% tests passed, 0 tests failed out of 12\n"
SKIPS = GOOD + """
The following tests did not run:
\t 899 - e2e.gemini_sim_ccxt (Skipped)
\t1310 - token.given (Skipped)
"""
BAD = """90% tests passed, 1 tests failed out of 10

The following tests FAILED:
\t  3 - base_test.Names.AreShort (Failed)
"""
LOG = """899/1349 Testing: e2e.gemini_sim_ccxt
899/1349 Test: e2e.gemini_sim_ccxt
Output:
----------------------------------------------------------
skipped: npm reaches no registry
<end of output>
Test Passed.

12/1349 Testing: base_test.LockDown.LocksMemory
12/1349 Test: base_test.LockDown.LocksMemory
Output:
[ RUN      ] LockDown.LocksMemory
/x/lock_down_test.cc:77: Skipped
needs root, and no sanitizer

[  SKIPPED ] LockDown.LocksMemory (0 ms)
<end of output>

13/1349 Testing: e2e.confinement
13/1349 Test: e2e.confinement
Output:
test_a (__main__.Fatal.test_a) ... ok
test_b (__main__.Fatal.test_b) ... skipped "this kernel's Landlock has no scopes"
test_c (__main__.Fatal.test_c) ... skipped "this kernel's Landlock has no scopes"
<end of output>

14/1349 Testing: e2e.quiet
14/1349 Test: e2e.quiet
Output:
nothing is skipped: it says so, and no more
"""


def bash(code, *arguments):
    return subprocess.run(["bash", "-euo", "pipefail", "-c", ". .ci/build.sh; . .ci/stages.sh; " + code, "bash", *arguments],
                          capture_output=True, text=True, check=False, timeout=30, cwd=TOP)


class Ending(unittest.TestCase):
    def ends(self, *stages, status):
        """The last line of a run whose stages print this."""
        done = bash('for text in "$@"; do stage some printf %s "$text"; done; close_run', *stages)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout.splitlines()[-1]

    def test_it_adds_up_what_passed(self):
        self.assertEqual(self.ends(GOOD, GOOD, status=0), "24 passed, 0 failed, 0 skipped")

    def test_what_was_skipped_did_not_pass(self):
        self.assertEqual(self.ends(SKIPS, GOOD, status=0), "22 passed, 0 failed, 2 skipped")

    def test_one_that_failed_fails_the_run_whatever_its_stage_says(self):
        self.assertEqual(self.ends(GOOD, BAD, status=1), "21 passed, 1 failed, 0 skipped")

    def test_a_run_without_a_test_that_passed_is_no_success(self):
        nothing = SKIPS.replace("of 12", "of 2")
        self.assertEqual(self.ends(nothing, status=1), "0 passed, 0 failed, 2 skipped")

    def test_a_stage_that_fails_is_named_and_the_next_ones_run(self):
        done = bash('stage first false; stage second printf %s "$1"; close_run', GOOD)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertEqual(done.stdout.splitlines()[-2:], ["FAILED: first", "12 passed, 0 failed, 0 skipped"])


class Reasons(unittest.TestCase):
    def test_each_skip_is_told_once_with_its_reason(self):
        with tempfile.TemporaryDirectory(prefix="hsm-stages-") as build:
            os.makedirs(os.path.join(build, "Testing", "Temporary"))
            with open(os.path.join(build, "Testing", "Temporary", "LastTest.log"), "w") as log:
                log.write(LOG)
            done = bash('tell_skips "$1"', build)
        self.assertEqual(done.stdout.splitlines(), [
            "skipped: e2e.gemini_sim_ccxt: npm reaches no registry",
            "skipped: base_test.LockDown.LocksMemory: needs root, and no sanitizer",
            "skipped: e2e.confinement: \"this kernel's Landlock has no scopes\""], done.stderr)


if __name__ == "__main__":
    unittest.main()

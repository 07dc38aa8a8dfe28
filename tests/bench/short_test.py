#!/usr/bin/env python3
"""hsm-bench measures every cell that it is asked for, and refuses to print figures of wrong MACs: it checks them
itself and then leaves with 1. No figure is judged here.

usage: short_test.py HSM_BENCH
"""
import json
import subprocess
import sys
import unittest

BENCH = sys.argv.pop(1)
SHAPE = [(1, 1), (1, 16), (1, 64), (2, 1), (2, 16), (2, 64)]
# Contender → (signing processes, in flight).
CELLS = {
    "OpenSSL in process": [(1, 1), (2, 2)],
    "SoftHSM in process": [(1, 1), (2, 2)],
    "SoftHSM through p11-kit": [(1, 1), (1, 2), (1, 4), (1, 8), (2, 2), (4, 4), (8, 8)],
    "two-hop echo, SoftHSM behind": SHAPE,
    "hsm-signer os": SHAPE,
    "hsm-signer fsync": SHAPE,
}


def run(*arguments):
    return subprocess.run([BENCH, *arguments], capture_output=True, text=True, check=False, timeout=240)


class Short(unittest.TestCase):
    def test_every_cell_has_figures(self):
        done = run("--seconds", "0.02", "--rounds", "1", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        seen = {(row["contender"], row["workers"], row["in_flight"]) for row in report["rows"]}
        self.assertEqual(seen, {(name, *load) for name, loads in CELLS.items() for load in loads})
        for row in report["rows"]:
            (figures,) = row["rounds"]
            self.assertGreaterEqual(figures["samples"], 100, row)
            self.assertLess(0, figures["p50_us"], row)
            self.assertLessEqual(figures["p50_us"], figures["p99_us"], row)
            self.assertLess(0, figures["per_second"], row)
            for name in ("p50_to_p11_kit", "per_second_to_best_p11_kit"):
                self.assertLess(0, row[name]["median"], row)
        self.assertEqual(len(report["aims"]), 5)

    def test_a_contender_that_is_not_there_is_an_error_and_no_empty_table(self):
        done = run("--only", "nothing of that name")
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)

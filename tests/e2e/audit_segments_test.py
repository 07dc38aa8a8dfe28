"""A log in many segments, written by the real signer under its confinement, and read by everybody who reads logs."""

import glob
import os
import signal
import subprocess
import sys
import unittest

from harness import Directory, EndToEnd

REQUEST = '{"request":"/v1/balances"}'
CHECK = os.path.join(os.path.dirname(__file__), "../../docs/audit_check.py")


class Segments(EndToEnd):
    @classmethod
    def setUpClass(cls):
        cls.at = Directory(up=False)
        cls.addClassCleanup(cls.at.close)
        cls.at.edit("signer.toml", "version = 1\n", "version = 1\naudit_segment_bytes = 4096\n")
        cls.at.ctl("up")
        cls.at.import_key("desk")

    def segments(self):
        return sorted(glob.glob(self.at.file("audit", "audit-*.jsonl")))

    def sign(self, count):
        for _ in range(count):
            self.at.sign("desk", REQUEST)

    def test_goes_on_over_files_a_kill_and_a_restart(self):
        self.sign(20)
        before = self.segments()
        self.assertGreater(len(before), 2)
        for path in before[:-1]:
            self.assertEqual(os.stat(path).st_mode & 0o7777, 0o400)
            self.assertGreaterEqual(os.path.getsize(path), 4096)
        for pid in self.at.pids("signerd"):
            os.kill(pid, signal.SIGKILL)
        self.at.ctl("up")
        self.sign(20)
        self.assertGreater(len(self.segments()), len(before))
        self.at.ctl("down")
        log, key = self.at.file("audit"), self.at.file("audit.pub.pem")
        self.at.verify_audit()
        done = subprocess.run([sys.executable, CHECK, "log", log, key], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        allowed = self.at.ctl("--json", "audit", "query", log, "--verdict", "allow").stdout.decode()
        self.assertEqual(allowed.count('"verdict":"allow"'), 40)
        proof = self.at.file("proof")
        self.at.ctl("audit", "prove", log, "--seq", "5", "--key", key, "-o", proof)
        self.at.ctl("audit", "check-proof", proof, "--key", key)
        self.at.ctl("audit", "report", log, "--key", key, "-o", self.at.file("report.html"))
        gone = before[1]
        os.rename(gone, gone + ".away")
        self.assertEqual(self.at.ctl("audit", "verify", log, "--key", key, check=False).returncode, 4)
        self.assertIn(os.path.basename(gone), self.at.ctl("up", check=False).stderr.decode() + self.at.logs())
        os.rename(gone + ".away", gone)
        self.at.ctl("down", check=False)
        self.at.ctl("up")


if __name__ == "__main__":
    unittest.main()

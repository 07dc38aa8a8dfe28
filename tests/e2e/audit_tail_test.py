#!/usr/bin/env python3
"""hsm-signerctl audit tail -f, as a SIEM runs it: a log that grows, is cut back, goes on in another segment."""
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
CTL = pathlib.Path(os.environ.get("HSM_SIGNER_BIN", TOP / "build/release/bin")) / "hsm-signerctl"


class Tail(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="hsm-tail-")
        self.addCleanup(scratch.cleanup)
        self.log = pathlib.Path(scratch.name)
        self.append(1, "one\n")

    def append(self, segment, text):
        with open(self.log / f"audit-{segment:06}.jsonl", "a", encoding="utf-8") as file:
            file.write(text)

    def follow(self, *arguments, **options):
        tail = subprocess.Popen([str(CTL), "audit", "tail", str(self.log), "-f", *arguments],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, **options)
        self.addCleanup(self.end, tail)
        return tail

    @staticmethod
    def end(tail):
        tail.kill()
        tail.communicate()

    def read(self, tail, size):
        """The next `size` bytes; fails where they do not come."""
        got, until = b"", time.monotonic() + 20
        while len(got) < size:
            ready, _, _ = select.select([tail.stdout], [], [], max(0, until - time.monotonic()))
            self.assertTrue(ready, f"after {got!r}")
            part = os.read(tail.stdout.fileno(), size - len(got))
            self.assertTrue(part, f"ended after {got!r}")
            got += part
        return got.decode()

    def assert_silent(self, tail, seconds):
        self.assertFalse(select.select([tail.stdout], [], [], seconds)[0])

    def test_follows_over_a_change_of_segments(self):
        tail = self.follow()
        self.assertEqual(self.read(tail, 4), "one\n")
        self.append(1, "two\n")
        self.assertEqual(self.read(tail, 4), "two\n")
        self.append(1, "three\n")
        self.append(2, "four\n")
        self.assertEqual(self.read(tail, 11), "three\nfour\n")
        self.append(2, "five\n")
        self.assertEqual(self.read(tail, 5), "five\n")

    def test_shows_no_line_before_its_end(self):
        tail = self.follow()
        self.read(tail, 4)
        self.append(1, "tw")
        self.assert_silent(tail, 0.7)
        self.append(1, "o\n")
        self.assertEqual(self.read(tail, 4), "two\n")

    def test_shows_nothing_of_a_write_that_was_cut_back(self):
        tail = self.follow()
        self.read(tail, 4)
        self.append(1, "never to be fin")
        self.assert_silent(tail, 0.7)
        os.truncate(self.log / "audit-000001.jsonl", 4)
        self.append(1, "two\n")
        self.assertEqual(self.read(tail, 4), "two\n")

    def test_goes_on_behind_a_sequence(self):
        self.append(1, "two\nthree\n")
        tail = self.follow("--after", "1")
        self.assertEqual(self.read(tail, 10), "two\nthree\n")
        self.append(1, "four\n")
        self.assertEqual(self.read(tail, 5), "four\n")

    def test_ends_cleanly_on_a_signal(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            tail = self.follow()
            self.read(tail, 4)
            tail.send_signal(number)
            self.assertEqual(tail.wait(20), 0)
            self.assertEqual(tail.stderr.read(), b"")

    def test_ends_cleanly_where_nobody_reads(self):
        tail = self.follow()
        self.read(tail, 4)
        tail.stdout.close()
        self.assertEqual(tail.wait(20), 0)
        self.assertEqual(tail.stderr.read(), b"")

    def test_ends_on_a_signal_though_its_reader_is_stuck(self):
        self.append(1, ("x" * 999 + "\n") * 1000)
        tail = self.follow("--after", "0")
        select.select([tail.stdout], [], [], 20)
        time.sleep(0.3)  # Until the pipe is full: there is no other sign of it.
        tail.send_signal(signal.SIGTERM)
        self.assertEqual(tail.wait(20), 0)

    def test_says_that_a_segment_has_gone(self):
        self.append(2, "two\n")
        tail = self.follow()
        self.read(tail, 8)
        os.remove(self.log / "audit-000001.jsonl")
        self.assertEqual(tail.wait(20), 4)
        self.assertIn(b"audit-000001.jsonl", tail.stderr.read())

    def test_the_journal_gets_fields_to_search_by(self):
        """A journal of the test's own, in a mount namespace where /run is empty."""
        self.append(1, '{"v":1,"seq":7,"time":"2025-11-23T19:15:02.000000Z","kind":"key","action":"activate","uid":0,"gid":0,'
                       '"pid":9,"key":"desk-a","version":3,"api_key_id":"account-A","token":"desk","cka_id":17}\n')
        journal = """
import os, socket, subprocess, sys
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
os.makedirs("/run/systemd/journal")
here = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
here.bind("/run/systemd/journal/socket")
here.settimeout(20)
done = subprocess.run(sys.argv[1:], capture_output=True, timeout=20)
sys.stdout.buffer.write(done.stdout + done.stderr)
for _ in range(2):
    sys.stdout.buffer.write(here.recv(65536) + b"\\n--\\n")
"""
        command = [str(CTL), "audit", "tail", str(self.log), "--journald"]
        done = subprocess.run(["unshare", "--mount", sys.executable, "-c", journal, *command], capture_output=True, timeout=60)
        if b"Operation not permitted" in done.stderr:
            self.skipTest("mounting is not permitted here: " + done.stderr.decode())
        self.assertEqual(done.returncode, 0, done.stderr)
        foreign, record, rest = done.stdout.decode().split("\n--\n")
        self.assertEqual(rest, "")
        self.assertIn("MESSAGE=not a record of an audit log", foreign)
        for field in ("SYSLOG_IDENTIFIER=hsm-signer-audit", "HSM_SIGNER_SEQ=7", "HSM_SIGNER_KIND=key", "HSM_SIGNER_KEY=desk-a",
                      "PRIORITY=5", "MESSAGE=key: activate version 3 account-A"):
            self.assertIn(field, record.split("\n"))

    def test_without_a_journal_it_says_so(self):
        gone = "mount -t tmpfs tmpfs /run && exec \"$0\" \"$@\""
        done = subprocess.run(["unshare", "--mount", "sh", "-c", gone, str(CTL), "audit", "tail", str(self.log), "--journald"],
                              capture_output=True, timeout=60)
        if b"permitted" in done.stderr:
            self.skipTest("mounting is not permitted here: " + done.stderr.decode())
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"journald is not here", done.stderr)


if __name__ == "__main__":
    unittest.main()

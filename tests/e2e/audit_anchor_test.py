"""Checkpoints kept elsewhere, by the real daemons under their confinement: at the start and at the stop, on a mount that is
full or may only be read, gone; and what a log in whose place somebody put another one says then."""

import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

from audited import Signer, check
from harness import Directory, EndToEnd, end, program, wait_until

TOP = os.path.join(os.path.dirname(__file__), "../..")
CHECK = os.path.join(TOP, "docs/audit_check.py")
REQUEST = '{"request":"/v1/balances"}'


class Anchored(Directory):
    """With an anchor in a directory of its own, on a tmpfs where there may be one."""

    def begin(self, up=True):
        self.elsewhere = os.path.join(self.path, "elsewhere")
        os.mkdir(self.elsewhere, 0o700)
        self.anchor = os.path.join(self.elsewhere, "anchor")
        self.mounted = False
        self.edit("signer.toml", "version = 1\n",
                  'version = 1\naudit_anchor = "%s"\naudit_anchor_every = "1s"\n' % self.anchor)
        if up:
            self.ctl("up")
            self.import_key("desk")

    def mount(self, *words):
        done = subprocess.run(["mount", *words, self.elsewhere], capture_output=True, check=False, timeout=30)
        if done.returncode == 0:
            self.mounted = True
        return done

    def close(self):
        try:
            super().close()
        finally:
            if getattr(self, "mounted", False):
                subprocess.run(["umount", self.elsewhere], check=True, timeout=30)
                shutil.rmtree(self.path, ignore_errors=True)

    def down(self):
        self.ctl("down")

    def notes(self):
        if not os.path.exists(self.anchor) or os.path.getsize(self.anchor) == 0:
            return []
        return [note for _, note in check.notes_of(self.anchor)]

    def sizes(self):
        return [int(note.split(b"\n")[1]) for note in self.notes()]

    def said(self, word):
        return [line for line in self.logs().splitlines() if "hsm-signerd: %s" % word in line]

    def signs(self):
        self.sign("desk", REQUEST)

    def verify(self, *more, anchor=None):
        return self.ctl("audit", "verify", self.file("audit"), "--key", self.file("audit.pub.pem"), "--anchor",
                        anchor or self.anchor, *more, check=False)

    def check(self, anchor=None):
        return subprocess.run([sys.executable, CHECK, "log", self.file("audit"), self.file("audit.pub.pem"),
                               anchor or self.anchor], capture_output=True, check=False, timeout=60)

    def start_by_hand(self, *words):
        return subprocess.Popen([program("hsm-signerd"), "--config", self.file("signer.toml"), *words],
                                stderr=subprocess.PIPE)


class AnAnchor(EndToEnd):
    def anchored(self, **more):
        at = Anchored(**more)
        self.addCleanup(at.close)
        return at

    def agree(self, at, ok, anchor=None):
        """What both verifiers say."""
        ours, theirs = at.verify(anchor=anchor), at.check(anchor=anchor)
        self.assertEqual(ours.returncode, 0 if ok else 4, ours.stdout + ours.stderr)
        self.assertEqual(theirs.returncode, 0 if ok else 1, theirs.stdout + theirs.stderr)
        return (ours.stdout + theirs.stderr).decode()

    def refused(self, at):
        """What a start says that is refused."""
        process = at.start_by_hand()
        self.addCleanup(end, process)
        self.assertEqual(process.wait(30), 3)
        with process.stderr:
            return process.stderr.read().decode()

    def test_holds_the_first_checkpoint_of_a_run_and_its_last(self):
        at = self.anchored()
        wait_until(at.sizes, what="the first checkpoint is anchored")
        at.signs()
        self.assertRegex(at.ctl("status").stdout.decode(), r"audit anchor +covers [0-9]+ records")
        self.assertEqual(os.stat(at.anchor).st_mode & 0o7777, 0o600)
        at.down()
        records = len(at.audit_records())
        self.assertEqual(at.sizes()[-1], records, "the stop itself is anchored")
        with open(at.file("audit", "checkpoints"), "rb") as file:
            checkpoints = file.read()
        for note in at.notes():
            self.assertIn(note + b"\n", checkpoints)
        self.assertIn("cover the first %d" % records, self.agree(at, True))
        self.assertEqual(len(at.said("anchor_beside_log")), 1)
        at.ctl("up")
        at.signs()
        at.down()
        self.agree(at, True)
        self.assertEqual(at.sizes()[-1], len(at.audit_records()))
        self.assertEqual(at.said("anchor_failed"), [])

    def test_the_journal_alone_makes_the_notes_again(self):
        at = self.anchored()
        wait_until(at.sizes, what="the first checkpoint is anchored")
        at.signs()
        at.down()
        with open(os.path.join(TOP, "docs/audit.md")) as page:
            (script,) = re.findall(r"\| (sed -n '[^']*anchored: [^']*')", page.read())
        made = os.path.join(at.path, "from-the-journal")
        with open(made, "wb") as file:
            subprocess.run(["sh", "-c", script], input=at.logs().encode(), stdout=file, check=True, timeout=30)
        self.assertEqual(at.sizes(), [int(note.split(b"\n")[1]) for _, note in check.notes_of(made)])
        self.agree(at, True, anchor=made)

    def test_without_a_file_the_journal_is_the_anchor(self):
        at = self.own()
        wait_until(lambda: "hsm-signerd: anchored: " in at.logs(), what="a checkpoint is said")
        self.assertRegex(at.ctl("status").stdout.decode(), r"audit anchor +none")

    def test_an_earlier_copy_of_log_and_state_is_refused(self):
        at = self.anchored()
        at.signs()
        at.down()
        # Everything that the signer has, so that nothing but the anchor knows.
        before = os.path.join(at.path, "before")
        shutil.copytree(at.dir, before, ignore=shutil.ignore_patterns("*.sock"))
        at.ctl("up")
        at.signs()
        at.down()
        after = os.path.join(at.path, "after")
        os.rename(at.dir, after)
        shutil.copytree(before, at.dir)
        self.assertEqual(at.ctl("audit", "verify", at.file("audit"), "--key", at.file("audit.pub.pem")).returncode, 0)
        held = at.sizes()[-1]
        self.assertIn("since it was anchored at %d" % held, self.agree(at, False))
        said = self.refused(at)
        self.assertIn("audit_unavailable: the audit log is shorter than it was when it was anchored", said)
        self.assertIn("Bring the audit directory back", said)
        self.assertIn(at.anchor, said)
        # The repair: what the sentence says.
        shutil.rmtree(at.dir)
        os.rename(after, at.dir)
        at.ctl("up")
        at.signs()
        at.down()
        self.agree(at, True)

    def test_a_log_that_is_lost_begins_anew_with_its_anchor_put_away(self):
        at = self.anchored()
        at.signs()
        at.down()
        at.ctl("up")  # The token host, for the run by hand.
        for pid in at.pids("signerd"):
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda gone=pid: not os.path.exists("/proc/%d" % gone), what="the signer stops")
        os.rename(at.file("audit"), at.file("audit.lost"))
        self.assertIn("shorter than it was when it was anchored", self.refused(at))
        shutil.rmtree(at.file("audit"))
        os.rename(at.anchor, at.anchor + ".lost")
        process = at.start_by_hand("--audit-lost")
        self.addCleanup(end, process)
        wait_until(at.sizes, what="the new log is anchored")
        end(process)
        with process.stderr:
            said = process.stderr.read().decode()
        self.assertIn("audit_lost", said)
        self.assertNotIn("anchor_failed", said)
        self.agree(at, True)

    def test_an_anchor_that_vanished_is_an_alarm_and_is_not_made_again(self):
        at = self.anchored()
        at.signs()
        at.down()
        os.rename(at.anchor, at.anchor + ".away")
        at.ctl("up")
        at.signs()
        (alarm,) = at.said("anchor_failed")
        self.assertIn("<1>", alarm)
        self.assertIn("is gone", alarm)
        self.assertIn("lost: ", at.ctl("status").stdout.decode())
        at.down()
        self.assertFalse(os.path.exists(at.anchor))
        # On purpose.
        with open(at.anchor, "w"):
            pass
        at.ctl("up")
        wait_until(at.sizes, what="the new anchor is written")
        self.assertIn("<1>", at.said("anchor_cut")[0])
        at.down()
        self.agree(at, True)

    def test_an_anchor_that_says_something_else_refuses_the_start(self):
        at = self.anchored()
        at.signs()
        at.down()
        with open(at.anchor, "rb") as file:
            text = file.read()
        forger = Signer(pathlib.Path(at.path))
        for damaged, words in ((b"!" + text, "is damaged"),
                               (text + forger.note(at.sizes()[-1], bytes(32)) + b"\n", "not sealed with the audit key")):
            with open(at.anchor, "wb") as file:
                file.write(damaged)
            said = self.refused(at)
            self.assertIn("audit_unavailable", said)
            self.assertIn(words, said)
        with open(at.anchor, "wb") as file:
            file.write(text)
        at.ctl("up")

    def test_both_verifiers_find_a_bit_in_every_fourth_byte_of_it(self):
        """Of all bits with ours: audit_test.Anchored.EveryBitOfTheAnchorIsGuardedAndNamed."""
        at = self.anchored()
        wait_until(at.sizes, what="the first checkpoint is anchored")
        at.signs()
        at.down()
        with open(at.anchor, "rb") as file:
            text = file.read()
        choice = random.Random(5)
        other = os.path.join(at.path, "flipped")
        # The first note and the last, so that the number of bytes does not depend on the machine.
        first, last = at.notes()[0] + b"\n", at.notes()[-1] + b"\n"
        text = first + last
        for place in range(random.randrange(4), len(text), 4):
            flipped = bytearray(text)
            flipped[place] ^= 1 << choice.randrange(8)
            with open(other, "wb") as file:
                file.write(flipped)
            with self.subTest(place=place):
                ours = at.verify(anchor=other)
                self.assertEqual(ours.returncode, 4)
                self.assertIn("failure %s" % other, ours.stdout.decode())
                with self.assertRaisesRegex((check.Wrong, ValueError), other):
                    check.check_log(at.file("audit"), at.file("audit.pub.pem"), other)

    def test_a_full_mount_stops_nobody_and_works_again(self):
        at = self.anchored(up=False)
        if at.mount("-t", "tmpfs", "-o", "size=64k,mode=700", "none").returncode != 0:
            self.skipTest("no tmpfs may be mounted here")
        at.ctl("up")
        at.import_key("desk")
        wait_until(at.sizes, what="the first checkpoint is anchored")
        self.assertEqual(at.said("anchor_beside_log"), [])
        filler = os.path.join(at.elsewhere, "filler")
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        # The file's own last page has room for some notes more.
        end_at = time.monotonic() + 60
        while not at.said("anchor_failed") and time.monotonic() < end_at:
            at.signs()
            time.sleep(0.2)
        (warning,) = at.said("anchor_failed")
        self.assertIn("No space left on device", warning)
        at.signs()
        self.assertIn("fails: ", at.ctl("status").stdout.decode())
        held = at.sizes()
        os.remove(filler)
        at.signs()
        wait_until(lambda: at.said("anchor_works_again"), what="it works again")
        self.assertGreater(at.sizes()[-1], held[-1])
        at.down()
        self.agree(at, True)
        self.assertEqual(len(at.said("anchor_failed")), 1)

    def test_a_mount_that_may_only_be_read_is_compared_and_written_once_it_may(self):
        at = self.anchored(up=False)
        if at.mount("-t", "tmpfs", "-o", "size=1m,mode=700", "none").returncode != 0:
            self.skipTest("no tmpfs may be mounted here")
        at.ctl("up")
        at.import_key("desk")
        at.down()
        held = at.sizes()
        self.assertEqual(at.mount("-o", "remount,ro").returncode, 0)
        at.ctl("up")
        at.signs()
        wait_until(lambda: at.said("anchor_failed"), what="it is said")
        self.assertIn("Read-only file system", at.said("anchor_failed")[0])
        self.assertEqual(at.sizes(), held)
        self.assertEqual(at.mount("-o", "remount,rw").returncode, 0)
        wait_until(lambda: at.said("anchor_works_again"), what="it works again")
        at.down()
        self.agree(at, True)
        self.assertEqual(at.sizes()[-1], len(at.audit_records()))


if __name__ == "__main__":
    unittest.main()

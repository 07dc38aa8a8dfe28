"""Where a secret is, found out by looking: in the memories of all processes while they sign, in their cores, in every
file. The scanner itself is proved by scripts.memory_scan; here it also has to find what is known to be there."""

import collections
import contextlib
import fcntl
import os
import random
import re
import select
import string
import subprocess
import sys
import termios
import time
import unittest

import wire
from harness import EndToEnd, end, program, stopped, wait_until
from load import Load

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
import memory_scan  # noqa: E402
import process_memory  # noqa: E402
import secret_forms  # noqa: E402

SIGNATURES = 20000
ROUNDS = 12
LOOKS = 10  # At each worker, in each round.
MOST_LOOKS = 5000
MOST_SECONDS = 300
DEPTH = 32
TYPED, OFFLINE = "account-typed00000000001", "account-offline000000001"
# System calls by number; arm64 has ppoll() only.
READ, WRITE, POLL = (63, 64, 73) if os.uname().machine == "aarch64" else (0, 1, 7)


def random_secret(size=28):
    """As the exchange makes them."""
    return "".join(random.SystemRandom().choices(string.ascii_letters + string.digits, k=size))


def system_call(pid):
    """(number, first argument) of the call in which a process waits; number -1 while it works."""
    with open("/proc/%d/syscall" % pid) as text:
        words = text.read().split()
    return (int(words[0]), int(words[1], 16)) if len(words) > 2 else (-1, 0)


def unread(pipe):
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def kilobytes(pid, field):
    with open("/proc/%d/status" % pid) as text:
        return int(re.search(r"^%s:\s*(\d+) kB" % field, text.read(), re.M).group(1))


def read_until(file, ending=None, seconds=20):
    """What comes until it ends like this, or until nobody is there any more who could write."""
    shown, until = b"", time.monotonic() + seconds
    while ending is None or not shown.endswith(ending):
        if not select.select([file], [], [], max(0, until - time.monotonic()))[0]:
            raise AssertionError("in %d s it did not say %r, or has not ended" % (seconds, ending))
        more = file.read(1 if ending else 65536)
        if not more:
            break
        shown += more
    return shown


@contextlib.contextmanager
def full_pipe():
    """(end to write to, what reads the rest): who writes there stands still until it is read."""
    reader, writer = os.pipe()
    room = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writer, b"x" * room)
    with open(reader, "rb", buffering=0) as printed, open(writer, "wb", buffering=0) as ours:
        def rest():
            ours.close()
            return read_until(printed)[room:]
        yield ours, rest


class Looks:
    """At what the workers of a SoftHSM token have written: the key is there while a MAC is made, for microseconds."""

    def __init__(self, finder, pids):
        self.finder, self.count, self.found = finder, 0, 0
        self.hits = {pid: collections.Counter() for pid in pids}

    def take(self, count):
        for _ in range(count):
            self.count += 1
            for pid, hits in self.hits.items():
                forms = process_memory.scan_written(self.finder, pid).forms()
                hits.update(forms | {"any form"} if forms else [])
                self.found += bool(forms)

    def __str__(self):
        return "; ".join("%d: %s" % (pid, ", ".join("%s in %d" % hit for hit in hits.most_common()) or "none")
                         for pid, hits in self.hits.items())


class Memory(EndToEnd):
    workers = 2

    @classmethod
    def setUpClass(cls):
        cls.began = int(time.time())
        super().setUpClass()
        cls.secret = random_secret()
        cls.finder = secret_forms.Finder(cls.secret.encode())
        cls.at.import_key("typed", api_key=TYPED, secret=cls.secret)
        blob = cls.at.file("offline.blob")
        cls.at.ctl("wrap", "--token-key", cls.at.file("wrap-dev.pub.pem"), "--secret-file", "-", "--output", blob,
                   stdin=cls.secret.encode())
        cls.at.ctl("key", "import", "offline", "--api-key", OFFLINE, "--environment", "sandbox", "--roles", "trader",
                   "--nonce", "signer-ms", "--blob", blob)
        cls.signer, = cls.at.pids("signerd")
        cls.supervisor, = cls.at.pids("tokend")

    @contextlib.contextmanager
    def load(self):
        """Signatures without a pause, of which none is refused; with the longest deadline, for the signer may be stopped."""
        load = Load(self.at.socket, self.at.file(self.id() + ".receipts"), "typed", "offline", form="order", depth=DEPTH,
                    deadline=60_000)
        self.addCleanup(load.close)
        with load.running():
            wait_until(load.read, what="the load begins")
            yield load
        load.read()
        self.assertEqual(load.refusals, {})

    def scan(self, pid, finder=None):
        report = process_memory.scan_process(finder or self.finder, pid)
        self.assertTrue(report.complete(), report)
        self.assertGreater(report.bytes, 1000000, report)
        return report

    def assert_clean(self, *pids):
        for pid in pids:
            report = self.scan(pid)
            self.assertEqual(report.hits, [], "\n%s" % report)
            if pid in (self.signer, self.supervisor):  # Others may be swapped out; their pages are read all the same.
                self.assertEqual(report.swapped, 0, report)

    def assert_clean_files(self):
        report = memory_scan.scan_tree(self.finder, self.at.path)
        self.assertTrue(report.complete(), report)
        self.assertGreater(report.parts, 20, report)
        self.assertEqual(report.hits, [], "\n%s" % report)
        return report

    def assert_clean_journal(self):
        """In a development directory daemons log into files; there is not a journal everywhere."""
        try:
            report = memory_scan.scan_journal(self.finder, "@%d" % self.began)
        except memory_scan.CannotLook:
            return "none here"
        self.assertEqual(report.hits, [], "\n%s" % report)
        return "0 hits in %d bytes" % report.bytes

    def test_the_secret_that_is_searched_for_is_the_one_that_signs(self):
        for key, api_key in (("typed", TYPED), ("offline", OFFLINE)):
            headers = self.at.sign(key, '{"request":"/v1/balances"}')["headers"]
            self.assertEqual(headers["X-GEMINI-APIKEY"], api_key)
            self.assertTrue(wire.signs_rightly(self.secret, headers["X-GEMINI-PAYLOAD"], headers["X-GEMINI-SIGNATURE"]))

    def test_the_search_of_files_finds_what_stands_there(self):
        self.at.sign("typed", '{"request":"/v1/balances"}')
        finder = secret_forms.Finder(TYPED.encode())
        files = {os.path.basename(hit["where"]) for name in ("audit", "state.db", "state.db-wal")
                 for hit in memory_scan.scan_tree(finder, self.at.file(name)).hits}
        self.assertGreaterEqual(len(files), 2, files)

    def test_while_20000_are_signed_it_is_in_no_process_but_the_workers_of_softhsm(self):
        workers = self.at.workers(self.supervisor)
        rounds, looks, began = 0, Looks(self.finder, workers), time.monotonic()
        with self.load() as load:
            while rounds < ROUNDS or load.signed < SIGNATURES:
                self.assertLess(time.monotonic() - began, MOST_SECONDS, "%d are signed" % load.signed)
                self.assert_clean(self.signer, self.supervisor, load.process.pid)
                looks.take(LOOKS)
                load.read()
                rounds += 1
            while not looks.found and looks.count < MOST_LOOKS:
                looks.take(1)
        seconds = time.monotonic() - began
        self.assertEqual(self.at.workers(self.supervisor), workers)
        files, idle = self.assert_clean_files(), [len(self.scan(worker).hits) for worker in workers]
        print("\n  %d signatures in %.0f s. In %d scans each of signer, supervisor and client: 0 hits.\n"
              "  Files: 0 hits in %d of %.0f MB. Journal: %s.\n  SoftHSM's workers, of %d looks: %s" % (
                  load.signed, seconds, rounds, files.parts, files.bytes / 1e6, self.assert_clean_journal(),
                  looks.count, looks))
        print("  the same workers, idle: %s hits" % ", ".join(map(str, idle)))
        for name, pid in (("signer", self.signer), ("supervisor", self.supervisor), ("worker", workers[0])):
            print("  %s: %d kB locked, %d kB swapped" % (name, kilobytes(pid, "VmLck"), kilobytes(pid, "VmSwap")))
        # SoftHSM is a library in these processes: had it never been found there, the scan would have proved nothing.
        self.assertTrue(looks.found)
        self.at.verify_audit()

    def test_a_core_of_the_signer_and_of_the_supervisor_under_load_does_not_hold_it(self):
        with self.load() as load:
            for pid, known in ((self.signer, [TYPED.encode(), b'"client_order_id":"under-load-']),
                               (self.supervisor, [self.at.file("dev.toml").encode()])):
                load.read()
                core = self.core_of(pid)
                self.assertTrue(load.read(), "nothing was signed meanwhile")
                with open(core, "rb") as file:
                    content = file.read()
                for text in known:
                    self.assertTrue(text in content, "the core has no %s" % text.decode())
                report = memory_scan.scan_core(self.finder, core)
                self.assertEqual(report.hits, [], "\n%s" % report)
                self.assertGreater(report.bytes, 1024 * kilobytes(pid, "RssAnon"))
                print("\n  core of %d: %.1f MB, 0 hits" % (pid, report.bytes / 1e6), end="")
                os.unlink(core)

    def core_of(self, pid):
        """Whole, also what asks to be left out of cores: as root, since daemons may be dumped by nobody else."""
        prefix = self.at.file("core")
        done = subprocess.run(["gcore", "-a", "-o", prefix, str(pid)], capture_output=True, check=False, timeout=50)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return "%s.%d" % (prefix, pid)

    def test_hsm_signerctl_holds_it_no_longer_when_it_hands_out_the_blob(self):
        for secret in (self.secret, random_secret(200)):  # A long one is hashed on its way.
            with self.subTest(size=len(secret)):
                self.wrap(secret)

    def wrap(self, secret):
        with full_pipe() as (writer, rest):
            with self.asking("wrap", "--token-key", self.at.file("wrap-dev.pub.pem"), stdout=writer) as process:
                self.typed_and_gone(process, secret, lambda: system_call(process.pid) == (WRITE, 1))
                self.assertIn(b"BEGIN HSM-SIGNER WRAPPED KEY", rest())
                self.assertEqual(process.wait(20), 0)

    def test_hsm_signerctl_holds_it_no_longer_that_was_typed_at_a_terminal(self):
        ours, theirs = os.openpty()
        with full_pipe() as (writer, rest), open(ours, "r+b", buffering=0) as terminal:
            # setsid(1) makes the terminal theirs and then is hsm-signerctl.
            with subprocess.Popen(["setsid", "--ctty", program("hsm-signerctl"), "wrap", "--token-key",
                                   self.at.file("wrap-dev.pub.pem")], stdin=theirs, stdout=writer,
                                  stderr=subprocess.DEVNULL) as process:
                os.close(theirs)
                try:
                    for question in (b"API secret (not shown): ", b"once more: "):
                        read_until(terminal, question)
                        self.assertEqual(bool(self.scan(process.pid).hits), question == b"once more: ")
                        terminal.write(self.secret.encode() + b"\n")
                    wait_until(lambda: system_call(process.pid) == (WRITE, 1), what="the secret is wrapped")
                    self.assert_clean(process.pid)
                    self.assertIn(b"BEGIN HSM-SIGNER WRAPPED KEY", rest())
                    self.assertEqual(process.wait(20), 0)
                finally:
                    end(process)

    def test_hsm_signerctl_holds_it_no_longer_while_it_imports(self):
        workers = self.at.workers(self.supervisor)
        with self.asking("key", "import", "third", "--api-key", "account-third", "--environment", "sandbox", "--roles",
                         "trader", "--nonce", "signer-ms", stdout=subprocess.PIPE) as process:
            with stopped([self.supervisor, *workers]):  # So that it waits for the token host.
                self.typed_and_gone(process, self.secret, lambda: system_call(process.pid)[0] == POLL)
            said, _ = process.communicate(timeout=20)
            self.assertEqual(process.returncode, 0, said)
        self.assertIn(b'key "third" version 1 is active', said)

    @contextlib.contextmanager
    def asking(self, *verb, stdout):
        """hsm-signerctl, which reads a secret from its standard input."""
        with subprocess.Popen([program("hsm-signerctl"), "--dir", self.at.dir, *verb, "--secret-file", "-"],
                              stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE) as process:
            try:
                wait_until(lambda: system_call(process.pid) == (READ, 0), what="hsm-signerctl asks for the secret")
                yield process
            finally:
                end(process)

    def typed_and_gone(self, process, secret, wrapped):
        """Nothing before the secret is typed, the secret while it is, nothing once it is wrapped."""
        finder = self.finder if secret == self.secret else secret_forms.Finder(secret.encode())
        self.assertEqual(self.scan(process.pid, finder).hits, [])
        process.stdin.write(secret.encode())
        process.stdin.flush()
        wait_until(lambda: unread(process.stdin) == 0 and system_call(process.pid) == (READ, 0), what="it is read")
        self.assertLessEqual(self.scan(process.pid, finder).forms(), {"raw", "canonical"})  # With zeros behind it.
        self.assertTrue(self.scan(process.pid, finder).hits)
        process.stdin.close()
        process.stdin = None  # Or communicate() would write to it.
        wait_until(wrapped, what="hsm-signerctl has wrapped the secret")
        report = self.scan(process.pid, finder)
        self.assertEqual(report.hits, [], "\n%s" % report)


if __name__ == "__main__":
    unittest.main()

"""A development directory of its own for each test: real binaries, real SoftHSM token, everything in a temporary
directory, every process started here ended by its pid."""

import contextlib
import ctypes
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import wire

BIN = os.environ["HSM_SIGNER_BIN"]
SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"  # On every architecture: Debian keeps a link to the library there.
SECRET = "1234abcd"
API_KEY = "account-e2e0000000000000001"


def program(name):
    return os.path.join(BIN, name)


def test_user(name="hsm-test-a"):
    """The uid of an unprivileged user that run-tests makes; a test of permissions that runs as root cannot fail."""
    return pwd.getpwnam(name).pw_uid


def wait_until(condition, seconds=20, what="condition"):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("not in %s s: %s" % (seconds, what))


def run_as(uid, code, *args):
    """A Python program under another uid."""
    return subprocess.run(["python3", "-c", code, *args], user=uid, group=uid, extra_groups=[], capture_output=True,
                          check=False, timeout=30)


def pkcs11_tool(at, *words, **more):
    """What OpenSC's tool says, logged in to the token of a directory. PINs go through the environment: of a failed
    command Python shows the arguments."""
    with open(at.file("pin")) as text:
        pin = text.read().strip()
    done = subprocess.run(["pkcs11-tool", "--module", SOFTHSM, "--token-label", "dev", "--login", "--pin",
                           "env:HSM_TEST_PIN", *words], capture_output=True, check=False, timeout=60,
                          env={**os.environ, "SOFTHSM2_CONF": at.file("softhsm2.conf"), "HSM_TEST_PIN": pin, **more})
    if done.returncode != 0:
        raise AssertionError("pkcs11-tool: exit %d\n%s" % (done.returncode, done.stderr.decode().replace(pin, "(PIN)")))
    return done.stdout + done.stderr


@contextlib.contextmanager
def stopped(pids):
    """These processes stand still: alive, and answering nothing."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


PRIORITY = 5  # docs/performance.md


@contextlib.contextmanager
def in_real_time(*pids):
    """These, their threads and what they start run as soon as they can, whatever else is ready: sched(7), SCHED_RR."""
    tasks = [int(task) for pid in pids for task in os.listdir("/proc/%d/task" % pid)]
    for task in tasks:
        os.sched_setscheduler(task, os.SCHED_RR, os.sched_param(PRIORITY))
    try:
        yield
    finally:
        for task in tasks:
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(task, os.SCHED_OTHER, os.sched_param(0))


def sanitized():
    """Whether the daemons carry a sanitizer, which keeps memory that was freed."""
    with open(os.path.join(BIN, "hsm-signerd"), "rb") as program:
        content = program.read()
    return b"__asan_init" in content or b"__tsan_init" in content


class Directory:
    """What `hsm-signerctl init` makes, with daemons running in it."""

    def __init__(self, workers=1, **more):
        # Short: socket paths hold at most 107 bytes.
        self.path = tempfile.mkdtemp(prefix="hsm-e2e-", dir="/tmp")
        self.dir = os.path.join(self.path, "d")
        self.wanted = workers
        try:
            self.ctl("init", "--workers", str(workers))
            self.begin(**more)
        except BaseException:  # Nobody else could end what was started.
            self.close()
            raise

    def begin(self, up=True):
        """What comes after init."""
        if up:
            self.ctl("up")

    def file(self, *names):
        return os.path.join(self.dir, *names)

    @property
    def socket(self):
        return self.file("run", "signer.sock")

    @property
    def admin_socket(self):
        return self.file("run", "admin.sock")

    @property
    def token_socket(self):
        return self.file("run", "dev.sock")

    @property
    def token_admin_socket(self):
        return self.file("run", "dev.admin.sock")

    def command(self, *args):
        return [program("hsm-signerctl"), "--dir", self.dir, *args]

    def ctl(self, *args, check=True, stdin=b"", timeout=60):
        command = self.command(*args)
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=timeout, check=False)
        if check and done.returncode != 0:
            raise AssertionError("%s: exit %d\n%s%s\n%s" % (" ".join(command), done.returncode, done.stdout.decode(),
                                                          done.stderr.decode(), self.logs()))
        return done

    def json(self, *args, **more):
        return json.loads(self.ctl("--json", *args, **more).stdout)

    def import_key(self, name, api_key=API_KEY, secret=SECRET, nonce="signer-ms", roles="trader",
                   environment="sandbox", check=True, extra=()):
        return self.ctl(*self.import_words(name, api_key, nonce, roles, environment), *extra, stdin=secret.encode(),
                        check=check)

    def expect_production_keys(self, *names):
        """Token hosts import none under a ceiling for sandbox keys; what these may do is for the test to say."""
        self.ctl("down")
        with open(self.file("ceilings.toml"), "w") as text:
            text.write("version = 1\n" + "".join(
                '[[key]]\nlabel = "%s"\nenvironment = "production"\nclasses = ["read"]\n' % name for name in names))
        self.ctl("up")

    @staticmethod
    def import_words(name, api_key=API_KEY, nonce="signer-ms", roles="trader", environment="sandbox"):
        return ("key", "import", name, "--api-key", api_key, "--environment", environment, "--roles", roles, "--nonce",
                nonce, "--secret-file", "-")

    def sign(self, name, payload, form="--request", check=True):
        done = self.ctl("--json", "sign", name, form, "-", stdin=payload.encode(), check=check)
        return json.loads(done.stdout) if check else done

    def pids(self, which):
        """Of the daemons, by their pid files: 'signerd' or 'tokend'."""
        found = []
        for name in os.listdir(self.file("run")):
            if name.endswith(".pid") and which in name:
                with open(self.file("run", name)) as text:
                    found.append(int(text.read()))
        return found

    def children(self, pid):
        with open("/proc/%d/task/%d/children" % (pid, pid)) as text:
            return [int(child) for child in text.read().split()]

    def workers(self, supervisor=None):
        """Of the token host, once none comes or goes: the admin worker ends with each connection."""
        supervisor = supervisor or self.pids("tokend")[0]
        seen = []

        def settled():
            seen.append(self.children(supervisor))
            return len(seen) > 5 and seen[-1] and all(workers == seen[-1] for workers in seen[-5:])
        wait_until(settled, what="the workers stay the same")
        return seen[-1]

    def worker(self):
        """A connection to a signing worker, in the place of a signer: once one accepts, since each serves one and ends."""
        connections = []

        def greeted():
            try:
                connections.append(wire.Peer(self.token_socket))
                return True
            except (OSError, wire.Closed, AssertionError):
                return False
        wait_until(greeted, what="a worker accepts")
        return connections[0]

    def verify_audit(self):
        # A log is sealed within a second of its first record, and does not verify before.
        checkpoints = self.file("audit", "checkpoints")
        wait_until(lambda: os.path.exists(checkpoints) and os.path.getsize(checkpoints) > 0, 10, "the log is sealed")
        return self.ctl("audit", "verify", self.file("audit"), "--key", self.file("audit.pub.pem"))

    def audit_records(self):
        records = []
        for name in sorted(os.listdir(self.file("audit"))):
            if name.endswith(".jsonl"):
                with open(self.file("audit", name)) as lines:
                    records += [json.loads(line) for line in lines]
        return records

    def acts(self):
        """Of administrators, but for their logins: each command is one."""
        return [record for record in self.audit_records() if record["kind"] == "admin" and record["action"] != "login"]

    def logs(self):
        text = ""
        folder = self.file("log")
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), errors="replace") as lines:
                text += "--- %s\n%s" % (name, lines.read())
        return text

    def edit(self, name, old, new):
        with open(self.file(name)) as text:
            content = text.read()
        assert old in content, (name, old, content)
        with open(self.file(name), "w") as text:
            text.write(content.replace(old, new))

    def close(self):
        if os.path.isdir(self.dir):
            self.ctl("down", check=False)
        said = self.logs() if os.path.isdir(self.dir) else ""
        shutil.rmtree(self.path, ignore_errors=True)
        # In a development directory a system call outside the filter is only loud; here it is an error, whatever
        # the test was about.
        broken = [line for line in said.splitlines() if "confinement_violation" in line or "SIGSYS" in line]
        if broken:
            raise AssertionError("outside its filter:\n" + "\n".join(broken))


class EndToEnd(unittest.TestCase):
    """Tests share one directory per class; `workers` and `own()` make others."""

    workers = 1

    @classmethod
    def setUpClass(cls):
        cls.at = Directory(workers=cls.workers)
        cls.addClassCleanup(cls.at.close)

    def own(self, **more):
        directory = Directory(**more)
        self.addCleanup(directory.close)
        return directory


def end(process):
    """Ends a process this test has started."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def die_with_parent():
    """For preexec_fn: a test that is killed leaves nobody behind, not even one that stands still."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG

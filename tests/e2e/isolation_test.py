"""Who holds what: only a worker has a PKCS#11 module, hsm-signerd has Unix sockets only and never executes, and each
part does its work under a uid of its own."""

import grp
import os
import pwd
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import unittest

import wire
from harness import SECRET, Directory, EndToEnd, end, program, run_as, test_user, wait_until

SOFTHSM = "libsofthsm2"


def maps(pid):
    with open("/proc/%d/maps" % pid) as text:
        return text.read()


def status(pid, field):
    with open("/proc/%d/status" % pid) as text:
        return re.search(r"^%s:\s*(.*)$" % field, text.read(), re.M).group(1)


class Isolation(EndToEnd):
    workers = 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.at.import_key("isolated", api_key="account-isolated")
        cls.at.sign("isolated", '{"request":"/v1/balances"}')

    def test_only_workers_have_the_module_mapped(self):
        (signer,), (supervisor,) = self.at.pids("signerd"), self.at.pids("tokend")
        workers = self.at.workers()
        self.assertGreaterEqual(len(workers), 2)
        self.assertNotIn(SOFTHSM, maps(signer))
        self.assertNotIn(SOFTHSM, maps(supervisor))
        for worker in workers:
            self.assertIn(SOFTHSM, maps(worker))

    def test_no_part_of_the_signer_links_pkcs11(self):
        for name in ("hsm-signerd", "hsm-signerctl", "gemini-sim"):
            needed = subprocess.run(["readelf", "-d", program(name)], capture_output=True, check=True,
                                    timeout=30).stdout.decode()
            self.assertNotRegex(needed, "libp11|p11-kit|softhsm", name)

    def test_neither_pin_nor_secret_stands_in_argv_or_environment(self):
        with open(self.at.file("pin")) as text:
            pin = text.read().strip()
        self.assertTrue(pin)
        for pid in self.at.pids("signerd") + self.at.pids("tokend") + self.at.workers():
            for part in ("cmdline", "environ"):
                with open("/proc/%d/%s" % (pid, part), "rb") as content:
                    shown = content.read()
                for what in (pin, SECRET):
                    self.assertFalse(what.encode() in shown, "%s of %d holds a PIN or a secret" % (part, pid))

    def test_hsm_signerctl_takes_no_secret_in_argv_or_environment(self):
        where = [program("hsm-signerctl"), "--dir", self.at.dir]
        verbs = (["wrap", "--token-key", self.at.file("wrap-dev.pub.pem")],
                 ["key", "import", "given", "--api-key", "account-given", "--environment", "sandbox", "--roles",
                  "trader", "--nonce", "signer-ms"])
        for verb in verbs:
            for words in (["--secret", SECRET], ["--secret=" + SECRET], ["--api-secret", SECRET], ["--pin", SECRET]):
                self.refused(where + verb + words, {})
            for name in ("HSM_SIGNER_SECRET", "GEMINI_API_SECRET", "MY_API_SECRET"):
                self.refused(where + verb + ["--secret-file", "-"], {name: SECRET})
        self.assertNotIn("given", {version["key"] for version in self.at.json("key", "list")["keys"]})

    def refused(self, command, environment):
        done = subprocess.run(command, input=b"another-secret", env={**os.environ, **environment}, capture_output=True,
                              check=False, timeout=30)
        self.assertFalse(SECRET.encode() in done.stdout + done.stderr, "the secret is printed")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn(b"a secret may not stand", done.stderr)

    def test_the_signer_opens_unix_sockets_only_and_never_executes(self):
        at = self.own(up=False)
        at.ctl("up")
        at.import_key("traced", api_key="account-traced")
        for pid in at.pids("signerd"):
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda p=pid: not os.path.exists("/proc/%d" % p), what="the signer stops")
        trace = at.file("strace.txt")
        traced = subprocess.Popen(["strace", "-f", "-qq", "-o", trace, "-e",
                                   "trace=socket,socketpair,execve,execveat,connect,bind,listen,fork,vfork,clone,"
                                   "clone3",
                                   program("hsm-signerd"), "--config", at.file("signer.toml")],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(end, traced)
        wait_until(lambda: at.ctl("ping", check=False).returncode == 0, what="the traced signer answers")
        (signer,) = self.at.children(traced.pid)  # strace had others before, to try what this kernel can.
        self.addCleanup(lambda: traced.poll() is None and os.kill(signer, signal.SIGTERM))  # strace would leave it.
        wait_until(lambda: at.sign("traced", '{"request":"/v1/balances"}', check=False).returncode == 0,
                   what="the traced signer signs")
        at.json("status")
        at.json("key", "list")
        self.assertEqual(at.sign("traced", '{"request":"/nowhere"}', check=False).returncode, 1)
        os.kill(signer, signal.SIGTERM)
        self.assertEqual(traced.wait(20), 0)
        with open(trace) as text:
            calls = text.read().splitlines()
        sockets = [call for call in calls if re.search(r"\bsocket(pair)?\(", call)]
        self.assertTrue(sockets)
        for call in sockets:
            self.assertRegex(call, r"AF_UNIX")
        executed = [call for call in calls if "execve" in call]
        self.assertEqual(len(executed), 1, executed)  # strace's own start of it.
        for call in calls:
            if re.search(r"\b(v?fork|clone3?)\(", call):
                self.assertIn("CLONE_THREAD", call)


class SeparateUsers(unittest.TestCase):
    """The production shape: token host and signer under different uids, binaries where both can reach them."""

    @classmethod
    def setUpClass(cls):
        # Where no core may be written anyway, nobody could see that a daemon forbids it itself.
        before = resource.getrlimit(resource.RLIMIT_CORE)
        cls.addClassCleanup(resource.setrlimit, resource.RLIMIT_CORE, before)
        resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, before[1]))
        cls.token_uid, cls.signer_uid = test_user("hsm-test-a"), test_user("hsm-test-b")
        cls.at = at = Directory(up=False)
        cls.addClassCleanup(at.close)
        cls.programs = tempfile.mkdtemp(prefix="hsm-bin-", dir="/tmp")
        cls.addClassCleanup(shutil.rmtree, cls.programs, True)
        os.chmod(at.path, 0o755)
        os.chmod(cls.programs, 0o755)
        for file in (program("hsm-signerd"), program("hsm-tokend"), wire.__file__):
            shutil.copy(file, cls.programs)
        os.chmod(at.file("run"), 0o777)
        # The socket belongs to the signer's group, of which the token host is a member.
        at.edit("dev.toml", "workers =", "clients = [\"%d\"]\nadmin_clients = [\"0\"]\nsocket_group = \"%d\"\nworkers ="
                % (cls.signer_uid, grp.getgrnam("hsm-test-b").gr_gid))
        at.edit("signer.toml", "policy =", "admins = [\"0\"]\npolicy =")
        for name in ("pin", "so-pin", "token", "dev.state", "softhsm2.conf", "ceilings.toml", "dev.toml"):
            os.chown(at.file(name), cls.token_uid, cls.token_uid)
            for base, folders, files in os.walk(at.file(name)):
                for entry in folders + files:
                    os.chown(os.path.join(base, entry), cls.token_uid, cls.token_uid)
        os.chmod(at.dir, 0o777)  # Public keys and state.db are made here by two users.
        cls.tokend = cls.start("hsm-tokend", "dev.toml", "hsm-test-a", ["hsm-test-b"])
        wait_until(lambda: os.path.exists(at.file("wrap-dev.pub.pem")), what="the token host makes its keys")
        cls.signer = cls.start("hsm-signerd", "signer.toml", "hsm-test-b", [])
        wait_until(lambda: at.ctl("ping", check=False).returncode == 0, what="the signer answers")
        at.import_key("separate", api_key="account-separate")

    @classmethod
    def start(cls, name, config_file, user, groups):
        with open(cls.at.file(name + ".log"), "w") as log:
            process = subprocess.Popen([os.path.join(cls.programs, name), "--config", cls.at.file(config_file)],
                                       user=user, group=pwd.getpwnam(user).pw_gid, extra_groups=groups, stderr=log)
        cls.addClassCleanup(end, process)
        return process

    def not_readable(self, uid, *targets):
        for target in targets:
            read = subprocess.run(["cat", target], user=uid, group=uid, extra_groups=[], capture_output=True,
                                  check=False, timeout=30)
            self.assertNotEqual(read.returncode, 0, target)
            self.assertIn(b"Permission denied", read.stderr)

    def test_signer_and_token_host_work_under_different_uids_and_cannot_read_each_other(self):
        self.assertIn("headers", self.at.sign("separate", '{"request":"/v1/balances"}'))
        self.assertEqual(int(status(self.signer.pid, "Uid").split()[0]), self.signer_uid)
        self.assertEqual(int(status(self.tokend.pid, "Uid").split()[0]), self.token_uid)
        # What the signer's user could reach if it were taken over.
        self.not_readable(self.signer_uid, self.at.file("pin"), *("/proc/%d/%s" % (self.tokend.pid, part)
                                                                  for part in ("environ", "mem")))
        # A uid that is neither is turned away by the token host.
        stranger = ("import sys; sys.path.insert(0, sys.argv[1]); import wire\n"
                    "try:\n    wire.Peer(sys.argv[2])\n    print('let in')\n"
                    "except (wire.Closed, AssertionError, OSError):\n    print('turned away')")
        self.assertEqual(run_as(65000, stranger, self.programs, self.at.token_socket).stdout.strip(), b"turned away")

    def test_every_daemon_is_undumpable_and_gains_no_privileges(self):
        other = subprocess.Popen(["sleep", "60"], user=self.signer_uid, group=self.signer_uid, extra_groups=[])
        self.addCleanup(end, other)
        wait_until(lambda: status(other.pid, "Name") == "sleep", what="a program that forbids nothing")
        self.assertEqual(os.stat("/proc/%d/environ" % other.pid).st_uid, self.signer_uid)
        workers = self.at.workers(self.tokend.pid)
        self.assertGreaterEqual(len(workers), 2)
        for pid in [self.signer.pid, self.tokend.pid] + workers:
            uid = self.signer_uid if pid == self.signer.pid else self.token_uid
            self.assertEqual(int(status(pid, "Uid").split()[0]), uid)
            # The kernel gives /proc/PID of a process that may not be dumped to root, and lets nobody else trace it.
            self.assertEqual(os.stat("/proc/%d/environ" % pid).st_uid, 0)
            self.not_readable(uid, *("/proc/%d/%s" % (pid, part) for part in ("environ", "mem", "maps")))
            self.assertEqual(status(pid, "NoNewPrivs"), "1")
            with open("/proc/%d/limits" % pid) as text:
                self.assertRegex(text.read(), r"Max core file size\s+0\s+0")


if __name__ == "__main__":
    unittest.main()

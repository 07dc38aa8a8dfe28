"""Who holds what: only a worker has a PKCS#11 module, hsm-signerd has Unix sockets only and never executes, and each
part does its work under a uid of its own."""

import grp
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from harness import Directory, EndToEnd, end, program, test_user, wait_until

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
        workers = self.at.children(supervisor)
        self.assertGreaterEqual(len(workers), 2)
        self.assertNotIn(SOFTHSM, maps(signer))
        self.assertNotIn(SOFTHSM, maps(supervisor))
        for worker in workers:
            self.assertIn(SOFTHSM, maps(worker))

    def test_no_part_of_the_signer_links_pkcs11(self):
        for name in ("hsm-signerd", "hsm-signerctl", "gemini-sim"):
            needed = subprocess.run(["readelf", "-d", program(name)], capture_output=True, check=True).stdout.decode()
            self.assertNotRegex(needed, "libp11|p11-kit|softhsm", name)

    def test_every_daemon_is_undumpable_and_gains_no_privileges(self):
        (signer,), (supervisor,) = self.at.pids("signerd"), self.at.pids("tokend")
        for pid in [signer, supervisor] + self.at.children(supervisor):
            self.assertEqual(status(pid, "NoNewPrivs"), "1")
            with open("/proc/%d/limits" % pid) as text:
                self.assertRegex(text.read(), r"Max core file size\s+0\s+0")

    def test_neither_pin_nor_secret_stands_in_argv_or_environment(self):
        with open(self.at.file("pin")) as text:
            pin = text.read().strip().encode()
        (signer,), (supervisor,) = self.at.pids("signerd"), self.at.pids("tokend")
        for pid in [signer, supervisor] + self.at.children(supervisor):
            for part in ("cmdline", "environ"):
                with open("/proc/%d/%s" % (pid, part), "rb") as content:
                    self.assertNotIn(pin, content.read())

    def test_the_signer_opens_unix_sockets_only_and_never_executes(self):
        at = self.own(up=False)
        at.ctl("up")
        at.import_key("traced", api_key="account-traced")
        for pid in at.pids("signerd"):
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda p=pid: not os.path.exists("/proc/%d" % p), what="the signer stops")
        trace = at.file("strace.txt")
        traced = subprocess.Popen(["strace", "-f", "-qq", "-o", trace, "-e",
                                   "trace=socket,socketpair,execve,execveat,connect,bind,listen,fork,vfork,clone,clone3",
                                   program("hsm-signerd"), "--config", at.file("signer.toml")],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(end, traced)
        wait_until(lambda: self.at.children(traced.pid), what="strace starts the signer")
        (signer,) = self.at.children(traced.pid)
        wait_until(lambda: at.ctl("ping", check=False).returncode == 0, what="the traced signer answers")
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

    def test_signer_and_token_host_work_under_different_uids_and_cannot_read_each_other(self):
        token_uid, signer_uid = test_user("hsm-test-a"), test_user("hsm-test-b")
        at = Directory(up=False)
        self.addCleanup(at.close)
        os.chmod(at.path, 0o755)
        os.chmod(at.dir, 0o755)
        programs = tempfile.mkdtemp(prefix="hsm-bin-", dir="/tmp")
        self.addCleanup(shutil.rmtree, programs, True)
        os.chmod(programs, 0o755)
        for name in ("hsm-signerd", "hsm-tokend"):
            shutil.copy(program(name), programs)
        run = at.file("run")
        os.chmod(run, 0o777)
        # The socket belongs to the signer's group, of which the token host is a member.
        at.edit("dev.toml", "workers =", "clients = [\"%d\"]\nadmin_clients = [\"0\"]\nsocket_group = \"%d\"\nworkers ="
                % (signer_uid, grp.getgrnam("hsm-test-b").gr_gid))
        at.edit("signer.toml", "policy =", "admins = [\"0\"]\npolicy =")
        for folder, names in ((at.dir, ["pin", "so-pin", "token", "softhsm2.conf", "ceilings.toml", "dev.toml"]),):
            for name in names:
                path = os.path.join(folder, name)
                if not os.path.exists(path):
                    continue
                os.chown(path, token_uid, token_uid)
                for base, folders, files in os.walk(path):
                    for entry in folders + files:
                        os.chown(os.path.join(base, entry), token_uid, token_uid)
        with open(at.file("dev.toml")) as text:
            config = text.read()
        state_dir = re.search(r'state_dir = "([^"]+)"', config).group(1)
        os.makedirs(state_dir, exist_ok=True)
        os.chown(state_dir, token_uid, token_uid)
        os.chmod(at.dir, 0o777)  # Public keys and state.db are made here by two users.

        def start(name, config_file, user, groups):
            with open(at.file(name + ".log"), "w") as log:
                process = subprocess.Popen([os.path.join(programs, name), "--config", at.file(config_file)], user=user,
                                           group=pwd.getpwnam(user).pw_gid, extra_groups=groups, stderr=log)
            self.addCleanup(end, process)
            return process

        tokend = start("hsm-tokend", "dev.toml", "hsm-test-a", ["hsm-test-b"])
        wait_until(lambda: os.path.exists(at.file("wrap-dev.pub.pem")), what="the token host makes its keys")
        signer = start("hsm-signerd", "signer.toml", "hsm-test-b", [])
        wait_until(lambda: at.ctl("ping", check=False).returncode == 0, what="the signer answers")
        at.import_key("separate", api_key="account-separate")
        self.assertIn("headers", at.sign("separate", '{"request":"/v1/balances"}'))

        self.assertEqual(int(status(signer.pid, "Uid").split()[0]), signer_uid)
        self.assertEqual(int(status(tokend.pid, "Uid").split()[0]), token_uid)
        # What the signer's user could reach if it were taken over.
        for target in (at.file("pin"), "/proc/%d/environ" % tokend.pid, "/proc/%d/mem" % tokend.pid):
            read = subprocess.run(["cat", target], user=signer_uid, group=signer_uid, extra_groups=[], capture_output=True,
                                  check=False)
            self.assertNotEqual(read.returncode, 0, target)
            self.assertIn(b"Permission denied", read.stderr)
        # A uid that is neither is turned away by the token host.
        stranger = ("import sys; sys.path.insert(0, %r); import wire\n"
                    "try:\n    wire.Peer(%r)\n    print('let in')\nexcept (wire.Closed, AssertionError, OSError) as why:\n"
                    "    print('turned away')" % (programs, at.token_socket))
        shutil.copy(os.path.join(os.path.dirname(__file__), "wire.py"), programs)
        shown = subprocess.run(["python3", "-c", stranger], user=65000, group=65000, extra_groups=[], capture_output=True,
                               check=False).stdout
        self.assertEqual(shown.strip(), b"turned away")


if __name__ == "__main__":
    unittest.main()

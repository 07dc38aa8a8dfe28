"""Whoever takes the signer over really tries: the PIN, the token's files, another process, a program, the network.
Each act is tried without confinement as well, where it must work: otherwise its refusal would show nothing."""

import errno
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import wire
from confined import DAEMONS, WITHOUT_LANDLOCK, WITHOUT_SECCOMP, Confined, landlock_abi, status
from harness import end, program, wait_until

REQUEST = '{"request":"/v1/balances"}'

# The system call that each act makes, and who may make it all the same. Every other one is a violation. A supervisor
# may become dumpable, since its workers begin by becoming undumpable: the same call.
CALLS = {
    "socket-inet": ("socket", ()), "socket-inet6": ("socket", ()), "socket-netlink": ("socket", ()),
    "exec": ("execveat", ("--supervisor",)), "fork": ("clone", ("--supervisor",)),
    "ptrace": ("ptrace", ()), "process-memory": ("process_vm_readv", ()), "pidfd": ("pidfd_open", ()),
    "kill": ("kill", ("--supervisor",)), "tgkill": ("tgkill", ("--supervisor",)),
    # A supervisor's workers load a module; they give it up once they have.
    "mmap-exec": ("mmap", ("--supervisor",)), "mprotect-exec": ("mprotect", ("--supervisor",)),
    "io-uring": ("io_uring_setup", ()), "keyctl": ("keyctl", ()), "memfd": ("memfd_create", ()),
    "unshare": ("unshare", ()), "personality": ("personality", ()), "ioctl": ("ioctl", ()),
    "dumpable": ("prctl", ("--supervisor",)), "setuid": ("setuid", ()),
}

# A host may have these switched off for everybody.
MAY_BE_ABSENT = ("io-uring", "keyctl")


class Fatal(Confined):
    """Root tries, whom file modes refuse nothing: what stops it is the confinement alone."""

    def test_each_forbidden_system_call_works_without_confinement(self):
        for act in CALLS:
            with self.subTest(act=act):
                words = self.words(act, self.victim())
                if act in MAY_BE_ABSENT and self.act("--free", *words)[1] != act + ": done":
                    continue
                self.works("--free", *words)

    def test_each_forbidden_system_call_ends_signer_supervisor_and_worker(self):
        victim = self.victim()
        for act, (_, allowed) in CALLS.items():
            for daemon in DAEMONS:
                if daemon not in allowed:
                    with self.subTest(act=act, daemon=daemon):
                        self.killed(daemon, *self.words(act, victim))

    def test_each_ends_under_the_signers_own_uid_too(self):
        victim = self.victim()
        for act in CALLS:
            with self.subTest(act=act):
                self.killed("--signer", *self.words(act, victim), uid=self.signer_uid)

    def test_what_each_daemon_needs_works(self):
        for daemon in DAEMONS:
            self.works(daemon, "unix-socket")
            self.works(daemon, "thread")
            self.refused(daemon, errno.ENOSYS, "clone3")  # libc goes on with clone.
        self.works("--supervisor", "fork")
        self.works("--worker", "read", self.at.file("softhsm2.conf"))
        for daemon, folder in (("--signer", "signer"), ("--signer", "anchor"), ("--worker", "token"), ("--worker", "dev.state"),
                               ("--supervisor", "public")):
            self.works(daemon, "create", self.at.file(folder, "made-by" + daemon))
            self.works(daemon, "remove", self.at.file(folder, "made-by" + daemon))

    def test_the_signer_reads_and_writes_nothing_but_its_own(self):
        token_file = next(os.path.join(base, name) for base, _, files in os.walk(self.at.file("token"))
                          for name in files if name.endswith(".object"))
        for path in (self.at.file("pin"), self.at.file("so-pin"), token_file, self.at.file("ceilings.toml"),
                     self.at.file("dev.toml"), "/etc/shadow", "/etc/nsswitch.conf", "/etc/hosts",
                     "/proc/%d/environ" % os.getpid(), "/proc/%d/maps" % os.getpid(), self.probe):
            self.works("--free", "read", path)
            self.refused("--signer", errno.EACCES, "read", path)
        # For a reload of the policy.
        for path in (self.at.file("rules", "policy.toml"), "/etc/passwd", "/etc/group"):
            self.works("--signer", "read", path)
            self.refused("--signer", errno.EACCES, "write", path)
        everybodys = tempfile.mkdtemp(prefix="hsm-e2e-", dir="/tmp")
        self.addCleanup(shutil.rmtree, everybodys)
        os.chmod(everybodys, 0o777)
        for folder in (self.at.dir, self.at.file("run"), self.at.file("public"), self.at.file("token"), everybodys):
            made = os.path.join(folder, "made-by-a-probe")
            self.works("--free", "create", made)
            self.refused("--signer", errno.EACCES, "write", made)
            if folder != self.at.file("run"):  # There it replaces its sockets.
                self.refused("--signer", errno.EACCES, "remove", made)
            os.unlink(made)
            self.refused("--signer", errno.EACCES, "create", made)
            if folder != self.at.file("public"):
                self.works("--free", "list", folder)
                self.refused("--signer", errno.EACCES, "list", folder)

    def test_supervisor_and_worker_write_only_what_their_file_names(self):
        for daemon, folders in (("--supervisor", ("signer", "")), ("--worker", ("signer", "", "public", "run"))):
            for folder in folders:
                made = self.at.file(folder, "made-by-a-probe")
                self.works("--free", "create", made)
                self.refused(daemon, errno.EACCES, "write", made)
                if (daemon, folder) != ("--supervisor", "run"):
                    self.refused(daemon, errno.EACCES, "remove", made)
                os.unlink(made)
                self.refused(daemon, errno.EACCES, "create", made)

    def test_the_supervisor_executes_no_other_program(self):
        self.works("--free", "execute")
        self.refused("--supervisor", errno.EACCES, "execute")

    def test_a_profile_that_needs_a_network_has_one_and_nothing_else_more(self):
        at = self.at
        with open(at.file("dev.toml")) as text:
            whole = text.read()
        with open(at.file("wide.toml"), "w") as text:
            text.write(whole.replace('"softhsm"', '"generic"'))
        victim = self.victim()
        given = {"socket-inet", "socket-inet6", "socket-netlink", "ioctl", "mmap-exec", "mprotect-exec"}
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = str(listening.getsockname()[1])
            self.killed("--worker", "tcp", port)
            for daemon in ("--worker", "--supervisor"):
                self.works(daemon, "tcp", port, file="wide.toml")
                for act, (_, allowed) in CALLS.items():
                    if act in given:
                        self.works(daemon, act, file="wide.toml")
                    elif daemon not in allowed:
                        self.killed(daemon, *self.words(act, victim), file="wide.toml")

    @unittest.skipIf(landlock_abi() < 6, "this kernel's Landlock has no scopes")
    def test_signals_and_abstract_sockets_stay_within_the_family(self):
        name = "hsm-e2e-%d" % os.getpid()
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("\0" + name)
            listening.listen(8)
            self.works("--free", "abstract-socket", name)
            for daemon in DAEMONS:
                self.refused(daemon, errno.EPERM, "abstract-socket", name)
        victim = self.victim()
        self.refused("--supervisor", errno.EPERM, "kill", str(victim.pid), "9")
        self.refused("--supervisor", errno.EPERM, "tgkill", str(victim.pid))
        self.assertIsNone(victim.poll())
        self.works("--free", "kill", str(victim.pid), "9")

    def test_without_landlock_seccomp_still_holds_and_the_log_says_what_does_not(self):
        for daemon in DAEMONS:
            _, _, said = self.act(daemon, "unix-socket", preexec_fn=WITHOUT_LANDLOCK)
            if daemon != "--worker":  # Its supervisor speaks for it.
                self.assertIn("no Landlock (%s), so file modes alone guard files" % os.strerror(errno.ENOSYS), said)
            self.killed(daemon, "socket-inet", preexec_fn=WITHOUT_LANDLOCK)
        self.works("--signer", "read", self.at.file("pin"), preexec_fn=WITHOUT_LANDLOCK)
        self.refused("--signer", errno.EACCES, "read", self.at.file("pin"), preexec_fn=WITHOUT_LANDLOCK,
                     uid=self.signer_uid)

    def test_without_seccomp_nothing_starts(self):
        for daemon in DAEMONS:
            code, printed, said = self.act(daemon, "socket-inet", preexec_fn=WITHOUT_SECCOMP)
            self.assertEqual((code, printed), (2, ""))
            self.assertIn("the kernel needs CONFIG_SECCOMP_FILTER", said)
        done = subprocess.run([program("hsm-signerd"), "--config", self.at.file("signer.toml")], capture_output=True,
                              check=False, timeout=30, preexec_fn=WITHOUT_SECCOMP)
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"CONFIG_SECCOMP_FILTER", done.stderr)


class Loud(Confined):
    mode = "development"

    def test_a_violation_is_refused_and_named_in_the_daemons_own_log(self):
        victim = self.victim()
        for act, (call, allowed) in CALLS.items():
            for daemon in DAEMONS:
                if daemon in allowed:
                    continue
                with self.subTest(act=act, daemon=daemon):
                    code, printed, said = self.act(daemon, *self.words(act, victim))
                    self.assertEqual((code, printed), (0, "%s: refused (%d)" % (act, errno.EPERM)))
                    lines = [line for line in said.splitlines() if "confinement_violation" in line]
                    self.assertEqual(len(lines), 1, said)
                    self.assertRegex(lines[0], r"^<3>confined_probe: confinement_violation: system call %s " % call)
        _, _, said = self.act("--signer", "socket-inet")
        self.assertIn("system call socket (argument 1: 0x2)", said)

    def test_files_are_refused_as_in_production(self):
        self.works("--free", "read", self.at.file("pin"))
        self.refused("--signer", errno.EACCES, "read", self.at.file("pin"))

    def test_without_seccomp_it_starts_and_says_so(self):
        code, printed, said = self.act("--signer", "socket-inet", preexec_fn=WITHOUT_SECCOMP)
        self.assertEqual((code, printed), (0, "socket-inet: done"))
        self.assertIn("not_confined", said)


class RealDaemons(Confined):
    """In production mode, under their own uids: everything they do is within their filters."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tokend = cls.start("hsm-tokend", "dev.toml", "hsm-test-a", ["hsm-test-b"])
        wait_until(lambda: os.path.exists(cls.at.file("public", "wrap-dev.pub.pem")), what="the token host's keys")
        cls.signer = cls.start("hsm-signerd", "signer.toml", "hsm-test-b", [])
        wait_until(lambda: cls.at.ctl("ping", check=False).returncode == 0, what="the signer answers")
        cls.at.import_key("held", api_key="account-held")

    @classmethod
    def start(cls, name, config_file, user, groups, **more):
        with open(cls.at.file(name + ".log"), "a") as log:
            process = subprocess.Popen([os.path.join(cls.programs, name), "--config", cls.at.file(config_file)],
                                       user=user, group=pwd.getpwnam(user).pw_gid, extra_groups=groups, stderr=log,
                                       **more)
        cls.addClassCleanup(end, process)
        return process

    def log(self, name):
        with open(self.at.file(name + ".log")) as text:
            return text.read()

    def signs(self):
        self.assertIn("headers", self.at.sign("held", REQUEST))

    def test_every_process_of_theirs_is_filtered(self):
        self.signs()
        wait_until(lambda: len(self.at.workers(self.tokend.pid)) >= 2, what="one signs and one stands by")
        workers = self.at.workers(self.tokend.pid)
        for pid, filters in [(self.signer.pid, 1), (self.tokend.pid, 1)] + [(worker, 3) for worker in workers]:
            # A worker takes its last one when it has loaded the module.
            wait_until(lambda p=pid, f=filters: status(p, "Seccomp_filters") == str(f), what="%d filters" % filters)
            self.assertEqual(status(pid, "Seccomp"), "2")
            threads = os.listdir("/proc/%d/task" % pid)
            for thread in threads:
                with open("/proc/%d/task/%s/status" % (pid, thread)) as text:
                    self.assertIn("Seccomp:\t2", text.read())
        for name in ("hsm-signerd", "hsm-tokend"):
            self.assertIn("confined: seccomp, violations fatal; Landlock ABI %d" % landlock_abi(), self.log(name))

    def test_the_signers_uid_reaches_neither_pin_nor_token_nor_worker_from_outside(self):
        worker = str(self.at.workers(self.tokend.pid)[0])
        token_file = next(os.path.join(base, name) for base, _, files in os.walk(self.at.file("token"))
                          for name in files if name.endswith(".object"))
        for words, error in ((["read", self.at.file("pin")], errno.EACCES), (["read", token_file], errno.EACCES),
                             (["read", "/proc/%s/environ" % worker], errno.EACCES),
                             (["write", "/proc/%s/mem" % worker], errno.EACCES), (["ptrace", worker], errno.EPERM),
                             (["process-memory", worker], errno.EPERM), (["kill", worker, "9"], errno.EPERM)):
            if words[0] != "kill":
                self.works("--free", *words)  # Root may.
            self.refused("--free", error, *words, uid=self.signer_uid)

    def test_a_day_of_work_leads_to_no_violation(self):
        # Another test has a worker end by SIGSYS.
        before = {name: len(self.log(name)) for name in ("hsm-signerd", "hsm-tokend")}
        self.signs()
        for verb in (["status"], ["key", "list"], ["whoami"]):
            self.at.json(*verb)
        self.at.ctl("explain", "held", "--request", "-", stdin=REQUEST.encode())
        self.assertEqual(self.at.sign("held", '{"request":"/nowhere"}', check=False).returncode, 1)
        for worker in self.at.workers(self.tokend.pid):  # New ones are exec'd under their supervisor's filter.
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: self.at.sign("held", REQUEST, check=False).returncode == 0, what="new workers sign")
        for _ in range(2):
            self.signer.send_signal(signal.SIGTERM)
            self.assertEqual(self.signer.wait(20), 0)
            type(self).signer = self.start("hsm-signerd", "signer.toml", "hsm-test-b", [])
            wait_until(lambda: self.at.ctl("ping", check=False).returncode == 0, what="the signer answers again")
            wait_until(lambda: self.at.sign("held", REQUEST, check=False).returncode == 0, what="it signs again")
        many = b"".join(wire.frame("sign_request", ident, {1: b"held", 2: REQUEST.encode()}) for ident in range(500))
        with wire.Peer(self.at.socket) as peer:
            peer.send(many)
            for _ in range(500):
                peer.receive()
        # Sealed by the token, verified from outside.
        time.sleep(1.5)
        self.at.ctl("audit", "verify", self.at.file("signer", "audit"), "--key", self.at.file("public",
                                                                                         "audit.pub.pem"))
        # Whoever was ended has been reaped and spoken of once no worker comes or goes.
        self.at.workers(self.tokend.pid)
        self.assertEqual((self.tokend.poll(), self.signer.poll()), (None, None))
        for name, size in before.items():
            self.assertNotRegex(self.log(name)[size:], "SIGSYS|confinement_violation|Permission denied|EACCES")

    def test_a_policy_is_read_again_with_its_users_and_zones(self):
        policy = self.at.file("rules", "policy.toml")
        with open(policy) as text:
            old = text.read()

        def put(content):
            with open(policy + ".new", "w") as text:
                text.write(content)
            os.rename(policy + ".new", policy)
        self.addCleanup(self.at.ctl, "policy", "reload")
        self.addCleanup(put, old)
        before = len(self.log("hsm-signerd"))
        # A zone that nobody has looked up before, and a name.
        put(old.replace('uid = "0"', 'uid = "root"').replace(
            "allow =", 'hours = "Mon-Sun 00:00-24:00 Pacific/Chatham"\nallow ='))
        self.at.ctl("policy", "reload")
        self.signs()
        # Whoever is known to another source of names than the files is unknown here; a number will do.
        put(old.replace('uid = "0"', 'uid = "known-to-a-directory"'))
        done = self.at.ctl("policy", "reload", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr.decode(), r'policy\.toml:\d+:\d+: "uid": there is no user: known-to-a-directory in '
                         "/etc/passwd and /etc/group, where alone names are looked up while the signer runs")
        self.signs()
        self.assertIsNone(self.signer.poll())
        self.assertNotRegex(self.log("hsm-signerd")[before:], "SIGSYS|confinement_violation")

    def test_the_service_manager_hears_of_them_at_a_path_and_at_an_abstract_address(self):
        for address in (self.at.file("run", "notify"), "\0hsm-e2e-notify-%d" % os.getpid()):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                manager.bind(address)
                manager.settimeout(20)
                if address.startswith("/"):
                    os.chmod(address, 0o777)
                self.signer.send_signal(signal.SIGTERM)
                self.assertEqual(self.signer.wait(20), 0)
                type(self).signer = self.start("hsm-signerd", "signer.toml", "hsm-test-b", [],
                                               env={"NOTIFY_SOCKET": address.replace("\0", "@")})
                self.assertIn(b"READY=1", manager.recv(4096))
        self.signer.send_signal(signal.SIGTERM)  # The next has no manager that is gone.
        self.assertEqual(self.signer.wait(20), 0)
        type(self).signer = self.start("hsm-signerd", "signer.toml", "hsm-test-b", [])
        wait_until(lambda: self.at.sign("held", REQUEST, check=False).returncode == 0, what="it signs again")

    def test_a_supervisor_starts_its_own_program_after_another_was_installed_in_its_place(self):
        installed = os.path.join(self.programs, "hsm-tokend")
        kept = installed + ".kept"
        shutil.copy(installed, kept)
        os.unlink(installed)
        shutil.copy("/bin/false", installed)
        self.addCleanup(os.rename, kept, installed)
        before = self.at.workers(self.tokend.pid)
        for worker in before:
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: self.at.sign("held", REQUEST, check=False).returncode == 0, what="new workers sign")
        self.assertFalse(set(before) & set(self.at.workers(self.tokend.pid)))

    def test_a_killed_supervisor_says_that_it_was_the_filter(self):
        """What the supervisor's own log says of a worker that leaves its filter; here the signal alone."""
        os.kill(self.at.workers(self.tokend.pid)[0], signal.SIGSYS)
        wait_until(lambda: "signal 31 (SIGSYS: a system call outside its filter" in self.log("hsm-tokend"),
                   what="the supervisor names SIGSYS")


if __name__ == "__main__":
    unittest.main()

"""What tests of confinement share: a directory laid out as in production, a probe that tries one act under a daemon's own
confinement or under none, and kernels that lack a part of it."""

import ctypes
import errno
import grp
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from harness import Directory, end, program, test_user, wait_until

PROBE = os.environ["HSM_SIGNER_PROBE"]
DAEMONS = {"--signer": "signer.toml", "--supervisor": "dev.toml", "--worker": "dev.toml"}

libseccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)
libseccomp.seccomp_init.restype = ctypes.c_void_p
SECCOMP_ALLOW, SECCOMP_ERRNO = 0x7FFF0000, 0x00050000


class Comparison(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("operator", ctypes.c_int), ("a", ctypes.c_uint64),
                ("b", ctypes.c_uint64)]


def kernel_without(*calls):
    """For preexec_fn: these system calls are answered as by a kernel that has them not. A call may come with the
    value of its first argument."""
    def forget():
        context = ctypes.c_void_p(libseccomp.seccomp_init(ctypes.c_uint32(SECCOMP_ALLOW)))
        for name, first in calls:
            number = libseccomp.seccomp_syscall_resolve_name(name.encode())
            conditions = (Comparison * 1)(Comparison(0, 4, first or 0, 0))  # 4: SCMP_CMP_EQ.
            refused = libseccomp.seccomp_rule_add_array(
                context, ctypes.c_uint32(SECCOMP_ERRNO | errno.ENOSYS), number, 0 if first is None else 1, conditions)
            if refused:
                raise OSError(-refused, name)
        if libseccomp.seccomp_load(context):
            raise OSError("the test's own filter was not loaded")
    return forget


WITHOUT_LANDLOCK = kernel_without(("landlock_create_ruleset", None))
WITHOUT_SECCOMP = kernel_without(("seccomp", None), ("prctl", 22))  # 22: PR_SET_SECCOMP.


def landlock_abi():
    return ctypes.CDLL(None).syscall(444, None, 0, 1)


def status(pid, field):
    with open("/proc/%d/status" % pid) as text:
        return re.search(r"^%s:\s*(.*)$" % field, text.read(), re.M).group(1)


def production_shape(at, token_uid, signer_uid, mode):
    """What Directory has made, as a package would lay it out: the signer's state apart from the token's, each part
    owned by who needs it."""
    signer = grp.getgrgid(pwd.getpwuid(signer_uid).pw_gid).gr_gid
    for name in ("signer", "public", "rules", "anchor"):
        os.mkdir(at.file(name))
    os.rename(at.file("policy.toml"), at.file("rules", "policy.toml"))
    for old, new in (('mode = "development"', 'mode = "%s"\nadmins = ["0"]' % mode),
                     ('"state.db"', '"signer/state.db"\naudit_anchor = "anchor/notes"'), ('"audit"', '"signer/audit"'),
                     ('"audit.pub.pem"', '"public/audit.pub.pem"'), ('"policy.toml"', '"rules/policy.toml"'),
                     ('"wrap-dev.pub.pem"', '"public/wrap-dev.pub.pem"')):
        at.edit("signer.toml", old, new)
    for old, new in (('mode = "development"', 'mode = "%s"' % mode), (at.file("audit.pub.pem"),
                                                                      at.file("public", "audit.pub.pem")),
                     (at.file("wrap-dev.pub.pem"), at.file("public", "wrap-dev.pub.pem")),
                     ("workers =", "clients = [\"%d\"]\nadmin_clients = [\"0\"]\nsocket_group = \"%d\"\nworkers ="
                      % (signer_uid, signer))):
        at.edit("dev.toml", old, new)
    at.edit("ceilings.toml", 'label = "*"', 'label = "held"')
    for name, uid in (("signer", signer_uid), ("anchor", signer_uid), ("public", token_uid), ("pin", token_uid),
                      ("so-pin", token_uid), ("token", token_uid), ("dev.state", token_uid), ("softhsm2.conf", token_uid)):
        os.chown(at.file(name), uid, uid)
        for base, folders, files in os.walk(at.file(name)):
            for entry in folders + files:
                os.chown(os.path.join(base, entry), uid, uid)
    os.chmod(at.path, 0o755)
    os.chmod(at.dir, 0o755)
    os.chmod(at.file("run"), 0o777)


@unittest.skipUnless(subprocess.run([PROBE, "confines"], check=False, timeout=30).returncode == 0,
                     "a build with a sanitizer confines nothing")
class Confined(unittest.TestCase):
    """What the classes below share."""

    mode = "production"

    @classmethod
    def setUpClass(cls):
        cls.token_uid, cls.signer_uid = test_user("hsm-test-a"), test_user("hsm-test-b")
        cls.at = Directory(up=False)
        cls.addClassCleanup(cls.at.close)
        production_shape(cls.at, cls.token_uid, cls.signer_uid, cls.mode)
        cls.programs = tempfile.mkdtemp(prefix="hsm-bin-", dir="/tmp")
        cls.addClassCleanup(shutil.rmtree, cls.programs, True)
        os.chmod(cls.programs, 0o755)
        for file in (program("hsm-signerd"), program("hsm-tokend"), PROBE):
            shutil.copy(file, cls.programs)
        cls.probe = os.path.join(cls.programs, os.path.basename(PROBE))
        os.makedirs(cls.at.file("signer", "audit"), exist_ok=True)
        os.chown(cls.at.file("signer", "audit"), cls.signer_uid, cls.signer_uid)
        os.chmod(cls.at.file("signer", "audit"), 0o700)

    def act(self, daemon, *words, uid=0, file=None, **more):
        """The answer of the probe: (exit status, what it printed, what it logged)."""
        under = [daemon] if daemon == "--free" else [daemon, self.at.file(file or DAEMONS[daemon])]
        done = subprocess.run([self.probe, *under, *words], user=uid, group=uid, extra_groups=[], capture_output=True,
                              check=False, timeout=30, **more)
        return done.returncode, done.stdout.decode().strip(), done.stderr.decode()

    def works(self, daemon, *words, **more):
        code, printed, said = self.act(daemon, *words, **more)
        self.assertEqual((code, printed), (0, words[0] + ": done"), (daemon, words, said))

    def refused(self, daemon, error, *words, **more):
        code, printed, said = self.act(daemon, *words, **more)
        self.assertEqual((code, printed), (0, "%s: refused (%d)" % (words[0], error)), (daemon, words, said))

    def killed(self, daemon, *words, **more):
        code, printed, said = self.act(daemon, *words, **more)
        self.assertEqual((code, printed), (-signal.SIGSYS, ""), (daemon, words, said))

    def victim(self):
        other = subprocess.Popen(["sleep", "60"])
        self.addCleanup(end, other)
        wait_until(lambda: status(other.pid, "Name") == "sleep", what="a process to be attacked")
        return other

    def words(self, act, victim):
        return {"kill": [act, str(victim.pid), "15"]}.get(act, [act, str(victim.pid)])

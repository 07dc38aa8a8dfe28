"""A signer with three kinds of callers: an honest one (whoever runs the test), a hostile one that the policy knows, and
another uid that it does not know; and what can be seen of a daemon from outside."""

import contextlib
import json
import os
import select
import shutil
import subprocess
import time

import hostile
import hostile_kinds
import wire
from harness import Directory, die_with_parent, end, sanitized, test_user, wait_until

REQUEST = b'{"request":"/v1/balances"}'
TICKS = os.sysconf("SC_CLK_TCK")

POLICY = """version = 1
[[client]]
name = "honest"
uid = "{honest}"
[[client]]
name = "hostile"
uid = "{hostile}"
[[rule]]
name = "honest reads"
client = "honest"
key = "honest"
allow = ["class:read"]
[[rule]]
name = "honest reads with its own nonces"
client = "honest"
key = "honest.caller"
allow = ["class:read"]
[[rule]]
name = "hostile reads"
client = "hostile"
key = "hostile"
allow = ["class:read"]
"""


def known():
    """The uid that the policy knows and that means harm."""
    return test_user("hsm-test-a")


def unknown():
    return test_user("hsm-test-b")


class Attack(dict):
    """One that goes on, later what it reports."""

    def __init__(self, process):
        super().__init__()
        self.process = process

    def goes_on(self):
        return self.process.poll() is None


class Besieged(Directory):
    """Reachable by every uid, as /run/hsm-signer is in production."""

    def begin(self, limit=None):
        with open(self.file("policy.toml"), "w") as text:
            text.write(POLICY.format(honest=os.getuid(), hostile=known()))
        self.start(limit)
        for folder in (self.path, self.dir, self.file("run")):
            os.chmod(folder, 0o755)
        for module in (hostile.__file__, hostile_kinds.__file__, wire.__file__):
            shutil.copy(module, self.path)
            os.chmod(os.path.join(self.path, os.path.basename(module)), 0o644)
        for key in ("honest", "hostile"):
            self.import_key(key, api_key="account-" + key)

    def start(self, limit):
        """With `limit` descriptors for each daemon."""
        words = ["prlimit", "--nofile=%d:%d" % (limit, limit)] if limit else []
        subprocess.run(words + self.command("up"), check=True, capture_output=True, timeout=60)

    @contextlib.contextmanager
    def attack(self, uid, **words):
        """hostile.py under `uid`; yields an Attack that holds its report behind the block. With `beats` the block's end waits
        until it has done its work, else it ends the attack."""
        seconds = 60 if "beats" in words else 600
        command = ["python3", os.path.join(self.path, "hostile.py"), self.socket, "--seconds", str(seconds)]
        for name, value in words.items():
            command.append("--" + name.replace("_", "-"))
            if value is not True:
                command.append(",".join(value) if isinstance(value, (list, tuple)) else str(value))
        process = subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0, user=uid, group=uid, extra_groups=[],
                                   preexec_fn=humbly, start_new_session=True)
        attack = Attack(process)
        try:
            assert select.select([process.stdout], [], [], 60)[0], "hostile.py is not ready in a minute"
            assert process.stdout.readline() == b"ready\n"
            yield attack
            if "beats" not in words:
                process.terminate()
            attack.update(json.loads(process.communicate(timeout=120)[0]))
            if "beats" in words and attack["unfinished"]:
                raise AssertionError("in %d s the daemon has not ended, or was not busied by, %s" % (
                    seconds, ", ".join(attack["unfinished"])))
        finally:
            end(process)
            process.stdout.close()

    @property
    def signer(self):
        (pid,) = self.pids("signerd")
        return pid

    def workers_named(self, flag):
        """Those of a role: --signing-worker, --admin-worker."""
        def role(pid):
            with open("/proc/%d/cmdline" % pid, "rb") as text:
                return text.read().split(b"\0")[1].decode()
        return [pid for pid in self.workers() if role(pid) == flag]

    def status(self):
        return self.json("status")

    def honest(self):
        """A connection that has signed."""
        peer = wire.Peer(self.socket)
        signs(peer)
        return peer


def signs(peer):
    """One signature; the answer's fields and the seconds it took."""
    begun = time.monotonic()
    answer = peer.ask("sign_request", {1: b"honest", 2: REQUEST})
    if "code" in answer:
        raise AssertionError("the honest client heard %s: %s" % (answer["code"], answer["sentence"]))
    return answer, time.monotonic() - begun


def go_first(*pids):
    """These go before whatever else the machine does, so that a busy machine is not what a test measures. Where sessions are
    weighed (sched(7), "The autogroup feature"), the session; nice would count inside it only."""
    for pid in pids:
        with contextlib.suppress(OSError), open("/proc/%d/autogroup" % pid, "w") as text:
            text.write("-20")


def humbly():
    """For an attacker: no real-time class that it may have inherited, behind the others of its session, and gone with the
    test."""
    die_with_parent()
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.nice(19)


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def memory(pid):
    """Kilobytes, by the names of /proc/PID/status."""
    with open("/proc/%d/status" % pid) as lines:
        pairs = [line.split(":") for line in lines]
    return {name: int(value.split()[0]) for name, value in pairs if name in ("VmRSS", "VmHWM", "RssAnon")}


def cpu(pid):
    """Seconds of a processor that this process has used."""
    with open("/proc/%d/stat" % pid) as text:
        fields = text.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def descriptors_back(pid, before, seconds=10):
    wait_until(lambda: descriptors(pid) <= before, seconds, "no descriptor more than before the attack")

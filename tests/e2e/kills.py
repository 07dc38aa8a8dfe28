"""What a test of kills needs: daemons started directly, so that each can be killed and started again at once, and a
Witness that compares what clients received with the audit log, sharing no code with the product."""

import base64
import contextlib
import hashlib
import json
import os
import struct
import subprocess
import time

import wire
from harness import Directory, pkcs11_tool, program, wait_until
from load import Load, receipt

SECRETS = {"kill.os": "secret-of-kill-os", "kill.fsync": "secret-of-kill-fsync",
           "kill.caller": "secret-of-kill-caller"}
BALANCES = '{"request":"/v1/balances"}'


def alive(pid):
    """Neither gone nor a zombie: nobody may reap the child of a killed parent."""
    try:
        with open("/proc/%d/stat" % pid) as text:
            return text.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


CKA_VALUE = 0x11


def holds_a_value(path):
    """Whether a SoftHSM object file has a CKA_VALUE: a generation, then type, kind and value of each attribute in
    ascending order, all numbers eight bytes (src/lib/object_store/ObjectFile.cpp)."""
    with open(path, "rb") as file:
        data = file.read()
    at = 8
    while at + 16 <= len(data):
        kind, form = struct.unpack_from(">QQ", data, at)
        at += 16
        if kind == CKA_VALUE:
            return struct.unpack_from(">Q", data, at)[0] > 0
        if kind > CKA_VALUE:
            return False
        at += {1: 1, 2: 8}[form] if form != 3 else 8 + struct.unpack_from(">Q", data, at)[0]
    return False


class Site(Directory):
    """A development directory whose daemons are this process's children. Keys kill.os, kill.fsync, kill.caller are
    imported by `with_keys`."""

    def __init__(self, workers=2):
        self.processes = {}
        super().__init__(workers)

    def begin(self):
        self.policy_for_fsync()
        os.makedirs(self.file("log"), exist_ok=True)
        self.start("tokend")
        self.start("signerd")

    def policy_for_fsync(self):
        with open(self.file("policy.toml"), "a") as text:
            text.write('\n[[rule]]\nname = "fsync"\nclient = "developer"\nkey = "kill.fsync"\ndurability = "fsync"\n'
                       'allow = ["class:read"]\n')

    def with_keys(self):
        self.wait_ready()
        for name, secret in SECRETS.items():
            self.import_key(name, api_key="account-" + name.replace(".", "-"), secret=secret,
                            nonce="caller-ms" if name == "kill.caller" else "signer-ms")
        return self

    def ctl(self, *args, **more):
        """As ever, but with somebody there to be asked: after each connection the next admin worker has to log in."""
        if args[0] == "key":
            self.admin_worker()
        return super().ctl(*args, **more)

    def start(self, which):
        config = {"tokend": "dev.toml", "signerd": "signer.toml"}[which]
        with open(self.file("log", which + ".log"), "ab") as log:
            self.processes[which] = subprocess.Popen([program("hsm-" + which), "--config", self.file(config)],
                                                     stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def pid(self, which):
        return self.processes[which].pid

    def kill(self, which):
        self.processes[which].kill()
        self.reap(which)

    def reap(self, which):
        return self.processes[which].wait(20)

    def running_workers(self):
        """{pid: "--signing-worker" or "--admin-worker"}; a child that has not become a worker yet is left out."""
        found = {}
        for pid in self.children(self.pid("tokend")):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError), \
                    open("/proc/%d/cmdline" % pid, "rb") as text:
                words = text.read().decode().split("\0")
                if len(words) > 1 and words[1].endswith("-worker"):
                    found[pid] = words[1]
        return found

    def admin_worker(self):
        """Logged in and waiting for its connection: it has said so and closed the pipe to the supervisor."""
        def ready():
            for pid, role in self.running_workers().items():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError), \
                        open("/proc/%d/wchan" % pid) as text:
                    if role == "--admin-worker" and self.waits_in_poll(pid, text.read()):
                        return pid
            return None
        wait_until(ready, what="an admin worker waits")
        return ready()

    @staticmethod
    def waits_in_poll(pid, wchan):
        with open("/proc/%d/syscall" % pid) as text:
            number = text.read().split()[0]
        return number == ("73" if os.uname().machine == "aarch64" else "271") or "poll" in wchan  # ppoll.

    def status(self):
        with wire.Peer(self.admin_socket, timeout=30) as peer:
            return peer.ask("status", {})

    def ready(self):
        with contextlib.suppress(OSError, wire.Closed):
            tokens = wire.records(self.status().get(10, b""))
            return [(token[2], token[3]) for token in tokens] == [(wire.u32(self.wanted),) * 2]
        return False

    def wait_ready(self):
        """The signer serves and every configured worker serves it."""
        try:
            wait_until(self.ready, 30, what="signer and workers serve")
        except AssertionError as late:
            last = "\n".join(self.logs().splitlines()[-40:])
            raise AssertionError("%s\n%s" % (late, last)) from None

    def sign_once(self, key, payload=BALANCES, kind="sign_request", deadline=5):
        """A receipt as load.py writes them, {'code': …}, or None when the signer went away."""
        try:
            with wire.Peer(self.socket, timeout=30) as peer:
                fields = peer.ask(kind, {1: key.encode(), 2: payload.encode(), 3: wire.u32(deadline * 1000)})
        except (OSError, wire.Closed):
            return None
        if "code" in fields:
            return fields
        return receipt(fields)

    def versions(self, name=None):
        listed = self.json("key", "list", *([name] if name else []), check=False).get("keys", [])
        return {(item["key"], item["version"]): item for item in listed}

    def token_labels(self):
        """CKA_LABELs of the secret keys in the token, as OpenSC sees them; those without a label left out."""
        self.admin_worker()  # At a login SoftHSM empties token.object for a moment, unlocked.
        listed = pkcs11_tool(self, "--list-objects", "--type", "secrkey")
        labels = [line.split(":", 1)[1].strip() for line in listed.decode().splitlines()
                  if line.strip().startswith("label:")]
        return sorted(filter(None, labels))

    def object_files(self):
        """SoftHSM's, one for each object."""
        (token,) = os.listdir(self.file("token"))
        return {self.file("token", token, name) for name in os.listdir(self.file("token", token))
                if name.endswith(".object")}

    def sweep(self):
        """Takes the lock files away that SoftHSM leaves of objects that are gone: it opens them at each search."""
        (token,) = os.listdir(self.file("token"))
        for name in os.listdir(self.file("token", token)):
            whole = self.file("token", token, name)
            if name.endswith(".lock") and not os.path.exists(whole[:-len("lock")] + "object"):
                os.unlink(whole)

    def revive(self):
        if self.processes["signerd"].poll() is not None:
            self.start("signerd")
            self.wait_ready()

    def load(self, key):
        return Load(self.socket, os.path.join(self.path, key + ".receipts"), key,
                    form="caller-ms" if key == "kill.caller" else "request")

    def close(self):
        for which in ("signerd", "tokend"):
            if which in self.processes and self.processes[which].poll() is None:
                self.processes[which].terminate()
                try:
                    self.reap(which)
                except subprocess.TimeoutExpired:
                    self.kill(which)
        super().close()


class Witness:
    """Reads the log as it grows, and holds every receipt against it."""

    test = None  # The test case that is asked to assert.

    def __init__(self, site):
        self.site = site
        self.segment, self.offset = 1, 0
        self.size = 0
        self.records = {}  # seq → (key, nonce, signature_sha256, payload_sha256)
        self.marks = {}  # api_key_id → the last nonce in the log
        self.received = {}  # api_key_id → {nonce: seq}
        self.secrets = dict(SECRETS)
        self.starts = 0

    def read_log(self):
        """What has come since: to the end of the segment it stood in, and on through those behind it."""
        while True:
            with open(self.site.file("audit", "audit-%06d.jsonl" % self.segment), "rb") as lines:
                lines.seek(self.offset)
                text = lines.read()
            whole = text[:text.rfind(b"\n") + 1]
            self.offset += len(whole)
            for line in whole.splitlines():
                self.take(json.loads(line))
            # A segment is whole before the next one has a name, so what was read here may have been its end or not.
            if not os.path.exists(self.site.file("audit", "audit-%06d.jsonl" % (self.segment + 1))):
                return
            if os.path.getsize(self.site.file("audit", "audit-%06d.jsonl" % self.segment)) == self.offset:
                self.segment, self.offset = self.segment + 1, 0

    def take(self, record):
        self.size += 1
        self.test.assertEqual(record["seq"], self.size, "a line of the log is lost, doubled or changed")
        self.starts += record["kind"] == "start"
        if record["kind"] != "sign" or record["verdict"] != "allow":
            return
        nonce = int(record["nonce"])
        self.test.assertGreater(nonce, self.marks.get(record["api_key_id"], 0), "a nonce in the log does not rise")
        self.marks[record["api_key_id"]] = nonce
        self.records[record["seq"]] = (record["key"], nonce, record["signature_sha256"], record["payload_sha256"])

    def judge(self, receipts):
        """What clients received, after which the log is read: it must be in there already."""
        self.read_log()
        for item in receipts:
            payload = base64.b64decode(item["payload"], validate=True)
            nonce = int(item["nonce"])
            self.test.assertEqual(int(json.loads(payload)["nonce"]), nonce)
            signature = wire.signature_of(self.secrets[item["key"]], item["payload"])
            self.test.assertEqual(item["signature_sha256"], hashlib.sha256(signature).hexdigest(),
                                  "a signature that the secret does not give")
            self.test.assertEqual(self.records.get(item["seq"]),
                                  (item["key"], nonce, item["signature_sha256"], hashlib.sha256(payload).hexdigest()),
                                  "a signature was received and the log does not have it so")
            nonces = self.received.setdefault(item["api_key"], {})
            self.test.assertNotIn(nonce, nonces, "a nonce was given twice")
            nonces[nonce] = item["seq"]

    def rises(self):
        """Of each API key the received nonces rise with their place in the log, over all restarts."""
        for nonces in self.received.values():
            sequences = [nonces[nonce] for nonce in sorted(nonces)]
            self.test.assertEqual(sequences, sorted(set(sequences)))

    def verifies(self):
        """`audit verify` finds no failure. A note that is just being written is unfinished for a moment."""
        for _ in range(5):
            done = self.site.ctl("audit", "verify", self.site.file("audit"), "--key", self.site.file("audit.pub.pem"),
                                 check=False)
            if done.returncode == 0:
                return
            time.sleep(0.3)
        self.test.fail("audit verify: %s%s" % (done.stdout.decode(), done.stderr.decode()))

    def signatures(self):
        return sum(len(nonces) for nonces in self.received.values())


class Lives:
    """For a test case: keys that are imported and destroyed while somebody is killed, and what must be true of each."""

    husks = 0

    @classmethod
    def open_site(cls, workers=1):
        cls.site = Site(workers)
        cls.witness = Witness(cls.site)
        try:
            cls.site.with_keys()
        except BaseException:
            cls.site.close()
            raise
        cls.baseline = cls.site.object_files()

    @staticmethod
    def api_key_of(name):
        return "account-" + name

    def secret_of(self, name):
        self.witness.secrets[name] = "secret-of-" + name
        return self.witness.secrets[name]

    def import_words(self, name):
        return self.site.import_words(name, api_key=self.api_key_of(name))

    def mended(self, name):
        """The state of the key's only version, None without one; after `key check --mend --yes`, which is asked again
        while something of the killed one is still under way."""
        for _ in range(20):
            done = self.site.ctl("key", "check", name, "--mend", "--yes", check=False)
            if done.returncode != 3 and b"registered meanwhile" not in done.stdout:
                break
            time.sleep(0.1)
        said = done.stdout.decode() + done.stderr.decode()
        states = [item["state"] for (key, _), item in self.site.versions(name).items() if key == name]
        if not states:
            self.assertIn("no such key", said)
            return None
        self.assertEqual(len(states), 1)
        # What --mend leaves to the operator: the destroy that he began. All else is right afterwards.
        if states[0] == "retired":
            self.assertIn("'key destroy' removes it", said)
        elif states[0] != "destroyed":
            self.assertEqual((states[0], done.returncode), ("active", 0), said)
        return states[0]

    def agrees(self, name, state):
        """Registry, token and signatures say the same of a key."""
        held = name + ".v1" in self.site.token_labels()
        self.assertEqual(held, state in ("active", "retired"), state)
        receipt = self.site.sign_once(name)
        if state == "active":
            self.assertIn("nonce", receipt)
            self.witness.judge([receipt])
        else:
            self.assertEqual(receipt["code"], "denied" if state is None else "key_not_active")

    def ends(self, name):
        """Whatever happened to it: it is mended, agreed upon, and can be destroyed without a trace in the token."""
        state = self.mended(name)
        if state == "active" and self.site.sign_once(name).get("code") == "key_not_active":
            # The killed one had asked to retire it, and the signer was about to.
            state = self.mended(name)
            self.assertEqual(state, "retired")
        self.agrees(name, state)
        if state in ("active", "retired"):
            self.site.ctl("key", "destroy", name, "--yes")
            self.assertEqual(self.site.sign_once(name)["code"], "key_not_active")
        self.no_half_key()

    def no_half_key(self):
        """SoftHSM makes an object in steps, the value last: killed before it has its name, a husk is left that holds no
        secret and that PKCS#11 shows without a label or not at all. They are taken away here: each makes the next
        import longer."""
        self.assertLessEqual(self.baseline, self.site.object_files())
        for husk in self.site.object_files() - self.baseline:
            self.assertFalse(holds_a_value(husk), "the token keeps the secret of a key that is gone")
            os.unlink(husk)
            self.husks += 1
        self.site.sweep()

    def whole(self):
        self.site.wait_ready()
        time.sleep(1.1)  # Sealed once more.
        self.witness.read_log()
        self.witness.rises()
        self.witness.verifies()
        self.site.ctl("key", "check")
        self.assertEqual(self.site.token_labels(), [name + ".v1" for name in sorted(SECRETS)])


@contextlib.contextmanager
def under_load(loads):
    with contextlib.ExitStack() as stack:
        for load in loads:
            stack.enter_context(load.running())
        yield

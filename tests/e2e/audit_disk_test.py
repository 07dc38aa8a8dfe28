"""The disk of the audit log gets full, is freed, and can be written no more: real daemons, on small file systems that only
this test sees. Every signature that a client holds is in the log, and the log verifies."""

import contextlib
import glob
import os
import subprocess
import sys
import time
import unittest

import wire
from harness import Directory, EndToEnd, wait_until
from load import ORDER, SIGNED, receipt

OWN = "HSM_OWN_MOUNTS"
MIB = 1 << 20
RESERVE = 256 * 1024
CANCEL, BALANCES, HEARTBEAT = '{"request":"/v1/order/cancel/all"}', '{"request":"/v1/balances"}', '{"request":"/v1/heartbeat"}'


def in_mounts_of_our_own():
    """This program again, where its mounts are nobody else's and end with it."""
    if OWN in os.environ:
        return
    probe = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        return
    os.environ[OWN] = "yes"
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])


def mount(*words):
    done = subprocess.run(["mount", *words], capture_output=True, check=False)
    if done.returncode != 0:
        raise unittest.SkipTest("mount %s: %s" % (" ".join(words), done.stderr.decode().strip()))


class Site(Directory):
    """Its audit directory is a file system of its own."""

    def __init__(self, mounted, durability="os"):
        self.mounted = mounted
        self.durability = durability
        self.asked = 0
        self.receipts = []
        super().__init__()

    def begin(self, up=True):
        os.makedirs(self.file("audit"), mode=0o700, exist_ok=True)
        self.mounted(self.file("audit"))
        os.chmod(self.file("audit"), 0o700)
        self.edit("signer.toml", "version = 1\n", "version = 1\naudit_reserve_bytes = %d\naudit_low_water_bytes = %d\n" % (
            RESERVE, MIB))
        self.edit("policy.toml", "open_counterparty = true\n",
                  'open_counterparty = true\ndurability = "%s"\n' % self.durability)
        self.ctl("up")
        self.import_key("desk")
        self.import_key("spare", api_key="account-e2e0000000000000002")

    def close(self):
        self.ctl("down", check=False)
        subprocess.run(["umount", self.file("audit")], capture_output=True, check=False)
        super().close()

    def ask(self, *payloads):
        """The code of each answer, "" for a signature, whose receipt is kept."""
        codes = [None] * len(payloads)
        with wire.Peer(self.socket, timeout=30) as peer:
            peer.send(b"".join(wire.frame("sign_request", i, {1: b"desk", 2: payload.encode()})
                               for i, payload in enumerate(payloads)))
            for _ in payloads:
                kind, which, fields = peer.receive()
                if kind in SIGNED:
                    self.receipts.append(receipt(fields))
                codes[which] = "" if kind in SIGNED else fields[1].decode()
        return codes

    def orders(self, count=1):
        payloads = []
        for _ in range(count):
            self.asked += 1
            payloads.append(ORDER % (self.asked % 1000 + 1, self.asked))
        return self.ask(*payloads)

    def order(self):
        return self.orders()[0]

    def fill(self):
        """All that is left, by a file that is none of the log's."""
        path = self.file("audit", "ballast")
        ballast = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        with contextlib.suppress(OSError):
            while True:
                os.write(ballast, b"x" * 4096)
        os.close(ballast)
        return path

    def said(self, what):
        return self.logs().count(" %s" % what)

    def holds(self, test):
        """After a stop: each signature that a client got has its record, and the log is sound."""
        self.ctl("down", check=False)
        records = {record["seq"]: record for record in self.audit_records()}
        for item in self.receipts:
            record = records[item["seq"]]
            test.assertEqual((record["verdict"], record["nonce"], record["signature_sha256"]),
                             ("allow", item["nonce"], item["signature_sha256"]))
        verified = self.verify_audit()
        test.assertEqual(verified.returncode, 0)
        return records.values()


class FullDisk(EndToEnd):
    @classmethod
    def setUpClass(cls):
        if OWN not in os.environ:
            raise unittest.SkipTest("no mounts of our own here (unshare --mount)")

    def setUp(self):
        self.at = Site(lambda path: mount("-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", path))
        self.addCleanup(self.at.close)

    def until_orders_are_refused(self):
        for _ in range(200):
            codes = set(self.at.orders(20))
            if "audit_unavailable" in codes:
                self.assertLessEqual(codes, {"", "audit_unavailable"})
                return
        self.fail("a full disk took 4,000 orders")

    def test_signs_cancels_alone_until_there_is_space_again(self):
        at = self.at
        signer = at.pids("signerd")
        self.assertEqual(set(at.orders(50)), {""})
        ballast = at.fill()
        self.until_orders_are_refused()
        self.assertEqual(at.ask(CANCEL, HEARTBEAT, BALANCES), ["", "", "audit_unavailable"])
        self.assertEqual(set(at.ask(*[CANCEL] * 50)), {""})
        panic = at.json("panic", "spare", "--reason", "the disk is full")
        self.assertEqual([step["done"] for step in panic["steps"]], [True] * 3, panic["steps"])
        wait_until(lambda: at.said("audit_disk_filling") == 1, 15, "the disk is said to be filling")
        status = at.json("status")
        self.assertIn("kept for cancels", status["audit_warning"])
        self.assertEqual(status["problem"], "")
        refused = at.orders(100)
        self.assertEqual(set(refused), {"audit_unavailable"})
        size = sum(os.path.getsize(path) for path in glob.glob(at.file("audit", "audit-*.jsonl")))
        at.orders(100)
        self.assertEqual(sum(os.path.getsize(path) for path in glob.glob(at.file("audit", "audit-*.jsonl"))), size,
                         "refusals take nothing of the reserve")

        codes = []
        while "audit_unavailable" not in codes and len(codes) < 5000:
            codes += at.ask(*[CANCEL] * 20)
        cancels = codes.count("")
        self.assertGreater(cancels, 200)
        self.assertLess(cancels, 2000)
        self.assertEqual(at.order(), "audit_unavailable")

        os.remove(ballast)
        freed = time.monotonic()
        wait_until(lambda: at.order() == "", 10, "orders are signed again")
        print("%d cancels out of the reserve; orders %.1f s after the space came back" % (
            cancels, time.monotonic() - freed))
        self.assertEqual(set(at.orders(50)), {""})
        self.assertEqual(at.pids("signerd"), signer, "nobody was started again")
        self.assertEqual(at.json("status")["audit_warning"], "")
        for once in ("audit_space_low", "audit_space_again"):
            self.assertEqual(at.said(once), 1, once)

        records = at.holds(self)
        counted = sum(record["count"] for record in records if record["kind"] == "refusals")
        written = sum(1 for record in records if record.get("verdict") == "refuse")
        self.assertGreaterEqual(counted, 200)
        print("%d refusals counted, %d written" % (counted, written))

    def test_goes_on_after_a_restart_on_a_full_disk(self):
        at = self.at
        at.orders(20)
        at.ctl("down")
        ballast = at.fill()
        at.ctl("up")
        self.assertEqual(at.ask(CANCEL), [""])
        os.remove(ballast)
        wait_until(lambda: at.order() == "", 10, "orders are signed")
        at.holds(self)


class LostDisk(EndToEnd):
    """A file system that the kernel makes read only after an error, as ext4 does, and loses what was not synced:
    remounting it by hand is refused while the signer has the log open (EBUSY)."""

    @classmethod
    def setUpClass(cls):
        if OWN not in os.environ:
            raise unittest.SkipTest("no mounts of our own here (unshare --mount)")

    def mounted(self, path):
        self.image = os.path.join(os.path.dirname(os.path.dirname(path)), "image")
        with open(self.image, "wb") as image:
            image.truncate(32 * MIB)
        subprocess.run(["mkfs.ext4", "-q", self.image], check=True, capture_output=True)
        mount("-o", "loop,errors=remount-ro", self.image, path)

    def trigger(self, path):
        with open("/proc/self/mountinfo") as lines:
            device = next(line.split()[2] for line in lines if line.split()[4] == path)
        name = os.path.basename(os.readlink("/sys/dev/block/" + device))
        control = "/sys/fs/ext4/%s/trigger_fs_error" % name
        if not os.access(control, os.W_OK):
            raise unittest.SkipTest("no %s" % control)
        with open(control, "w") as error:
            error.write("1")

    def test_signs_nothing_on_a_disk_that_became_read_only_and_goes_on_when_it_is_mended(self):
        at = Site(self.mounted, durability="fsync")
        self.addCleanup(at.close)
        audit = at.file("audit")
        self.assertEqual(set(at.orders(50)), {""})
        by_hand = subprocess.run(["mount", "-o", "remount,ro", audit], capture_output=True, check=False)
        self.assertIn(b"busy", by_hand.stderr)
        self.trigger(audit)
        codes = at.orders(40) + at.ask(*[CANCEL] * 10)
        wait_until(lambda: at.order() == "audit_unavailable", 10, "nothing is signed")
        for _ in range(20):
            self.assertEqual(set(at.orders(10) + at.ask(CANCEL)), {"audit_unavailable"})
        self.assertLessEqual(set(codes), {"", "audit_unavailable"})
        at.ctl("down", check=False)
        subprocess.run(["umount", audit], check=True)
        subprocess.run(["fsck.ext4", "-p", "-f", self.image], capture_output=True, check=False)
        mount("-o", "loop", self.image, audit)
        at.ctl("up")
        self.assertEqual(set(at.orders(50)), {""})
        at.holds(self)


if __name__ == "__main__":
    in_mounts_of_our_own()
    unittest.main()

"""Clients that mean harm: each kind is refused as the protocol says and ended in time, none costs the honest client an answer,
and behind them nothing is left, no descriptor and no memory."""

import os
import resource
import time
import unittest

import hostile
import wire
from harness import run_as, wait_until
from siege import Besieged, cpu, descriptors, descriptors_back, known, memory, sanitized, signs, unknown

SPARE_KB = 8 * 1024  # What malloc may keep of what an attack made it fetch.

KNOCK = """
import socket, sys
with socket.socket(socket.AF_UNIX) as knock:
    try:
        knock.connect(sys.argv[1])
    except PermissionError:
        print("no permission")
    else:
        knock.settimeout(3)
        print(knock.recv(65536))
"""


def waits(pid):
    """Whether this process stands in poll: past its start, and without a client."""
    with open("/proc/%d/wchan" % pid) as text:
        return "poll" in text.read()


class Siege(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.at = Besieged()
        cls.addClassCleanup(cls.at.close)

    def setUp(self):
        self.pid = self.at.signer
        self.honest = self.at.honest()
        self.addCleanup(lambda: self.honest.socket.close())
        self.before = descriptors(self.pid)

    def tearDown(self):
        self.assertEqual(self.at.signer, self.pid)
        signs(self.honest)
        descriptors_back(self.pid, self.before)

    def test_each_kind_is_refused_as_documented_and_ended_in_time(self):
        with self.at.attack(known(), beats=60, connections=3 * len(hostile.KINDS)) as report:
            while report.goes_on():
                signs(self.honest)
                time.sleep(0.05)
        for name, kind in hostile.KINDS.items():
            said = report["kinds"][name]
            with self.subTest(name, said=said):
                self.assertGreaterEqual(said["connections"], 3)
                if kind.patience:
                    self.assertEqual(said["ended"], said["connections"])
                    self.assertLess(said["longest"], kind.patience * (10 if sanitized() else 1))
                elif not kind.again:
                    self.assertEqual(said["ended"], 0)
                if kind.owed:
                    self.assertEqual(set(said["codes"]), {kind.owed})
                    self.assertEqual(said["codes"][kind.owed], said["connections"])
                elif not name.startswith(("Flood", "NeverReads", "HalfOpen")):
                    self.assertEqual(said["codes"], {})
        self.assertGreater(report["kinds"]["FloodOfSignatures"]["answers"], 100)
        self.assertEqual(set(report["kinds"]["FloodOfDenials"]["codes"]), {"denied"})
        self.at.verify_audit()

    def test_a_uid_that_is_no_client_hears_one_unauthorized_whatever_it_sends(self):
        turned_away = self.at.status()["turned_away"]
        kinds = [name for name in hostile.KINDS if name != "Storm"]
        with self.at.attack(unknown(), beats=1, all_end=True, connections=200, kinds=kinds) as report:
            signs(self.honest)
        for name, said in report["kinds"].items():
            with self.subTest(name, said=said):
                self.assertEqual(said["ended"], said["connections"])
                self.assertLess(said["longest"], 3)
                self.assertLessEqual(set(said["codes"]), {"unauthorized"})
                self.assertEqual(said["answers"], sum(said["codes"].values()))
                if said["connections"] and name in ("Idle", "Silent", "Garbage"):
                    self.assertEqual(said["codes"], {"unauthorized": said["connections"]})
        self.assertEqual(self.at.status()["turned_away"] - turned_away, 200)

    def attacked(self, seconds):
        """The most that the signer had resident while a thousand of all kinds were at it; the honest client is answered."""
        most, begun = 0, time.monotonic()
        with self.at.attack(known(), connections=1000, cpu=0.3, again=True) as report:
            with self.at.attack(unknown(), connections=100, cpu=0.2, kinds=["Storm", "Garbage"]):
                while time.monotonic() < begun + seconds:
                    signs(self.honest)
                    with self.at.honest() as another:
                        signs(another)
                    most = max(most, memory(self.pid)["VmRSS"])
                    time.sleep(0.05)
                self.assertGreater(self.at.status()["turned_away"], 100)
        descriptors_back(self.pid, self.before)
        self.assertGreater(sum(said["connections"] for said in report["kinds"].values()), 1000)
        return most

    def test_a_thousand_of_them_cost_nobody_an_answer_and_leave_nothing_behind(self):
        log, begun = os.path.getsize(self.at.file("log", "hsm-signerd.log")), time.monotonic()
        sizes = [memory(self.pid)["VmRSS"]]
        for _ in range(3):
            sizes += [self.attacked(6), memory(self.pid)["VmRSS"]]
        print("resident before, in and behind each of three attacks: %s kB" % sizes)
        if not sanitized():
            self.assertLess(max(sizes), 160 * 1024)
            # malloc keeps pages of the first; from then on it has what it needs.
            self.assertLess(sizes[-1] - sizes[2], SPARE_KB)
        # Ten lines of one event a second; of an attack there are few events.
        grown = os.path.getsize(self.at.file("log", "hsm-signerd.log")) - log
        self.assertLess(grown, 10 * 250 * (time.monotonic() - begun + 2) * 3)
        self.at.verify_audit()

    def test_of_more_connections_than_a_uid_may_have_the_others_hear_overloaded(self):
        with self.at.attack(known(), connections=1100, kinds=["Idle"]) as report:
            wait_until(lambda: self.at.status()["connections"] >= 1024, what="its 1,024 connections")
            with self.at.honest() as another:
                signs(another)
            time.sleep(0.5)
        said = report["kinds"]["Idle"]
        self.assertEqual((said["ended"], said["codes"]), (76, {"overloaded": 76}))
        self.assertEqual(report["open"], 1024)

    def test_descriptors_sent_along_are_closed_unread(self):
        most = 0
        with self.at.attack(known(), beats=1, connections=300, kinds=["PassesDescriptors", "PassesOneWithAByte"]) as report:
            while report.goes_on():
                most = max(most, descriptors(self.pid))
        self.assertGreater(most, self.before, "it was looked at while they were there")
        self.assertLessEqual(most, self.before + 300)
        for name, said in report["kinds"].items():
            with self.subTest(name):
                self.assertEqual(said["codes"], {"protocol_error": 150})
        descriptors_back(self.pid, self.before, seconds=1)

    def test_other_sockets_are_closed_to_whoever_is_not_meant(self):
        for path in (self.at.admin_socket, self.at.token_socket, self.at.token_admin_socket):
            for uid in (known(), unknown()):
                with self.subTest(path, uid=uid):
                    self.assertEqual(run_as(uid, KNOCK, path).stdout, b"no permission\n")
        # And where the file's mode would let them in, the daemons still do not.
        for path in (self.at.admin_socket, self.at.token_admin_socket, self.at.token_socket):
            mode = os.stat(path).st_mode & 0o777
            self.addCleanup(os.chmod, path, mode)
            os.chmod(path, 0o666)
        self.assertIn(b"unauthorized", run_as(known(), KNOCK, self.at.admin_socket).stdout)
        self.assertEqual(run_as(known(), KNOCK, self.at.token_admin_socket).stdout, b"b''\n")
        # The signer holds every signing worker, so on their socket nobody answers at all.
        self.assertIn(b"timed out", run_as(known(), KNOCK, self.at.token_socket).stderr)


class Descriptors(unittest.TestCase):
    def test_an_operator_gets_in_when_clients_use_all_that_there_is_for_them(self):
        at = Besieged(limit=128)
        self.addCleanup(at.close)
        pid = at.signer
        with at.attack(known(), connections=200, kinds=["Idle"]) as report:
            with at.honest() as another:
                signs(another)
            self.assertGreater(at.status()["connections"], 16)
            self.assertLess(descriptors(pid), 120)
        said = report["kinds"]["Idle"]
        self.assertEqual(set(said["codes"]), {"overloaded"})
        self.assertEqual(said["codes"]["overloaded"] + report["open"], 200)
        with at.attack(known(), connections=200, kinds=["Idle"]):
            at.ctl("drain")
            wait_until(lambda: not os.path.exists("/proc/%d" % pid), what="the signer ends")

    def test_without_descriptors_it_waits_without_spinning_and_goes_on_when_there_are_some(self):
        at = Besieged()
        self.addCleanup(at.close)
        pid = at.signer
        with at.honest() as honest:
            limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            highest = max(int(fd) for fd in os.listdir("/proc/%d/fd" % pid))
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 3, limits[1]))
            with at.attack(known(), connections=100, kinds=["Idle"]):
                wait_until(lambda: "accept_failed" in at.logs(), what="it runs out of descriptors")
                before, begun = cpu(pid), time.monotonic()
                while time.monotonic() < begun + 3:
                    signs(honest)
                    time.sleep(0.1)
                share = (cpu(pid) - before) / (time.monotonic() - begun)
                print("%.1f %% of a processor without descriptors" % (100 * share))
                self.assertLess(share, 0.1)
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
                with wire.Peer(at.socket, timeout=5) as again:
                    signs(again)
        with at.honest() as again:
            signs(again)
        self.assertLess(at.logs().count("accept_failed"), 100)

    def test_a_worker_without_descriptors_waits_without_spinning_and_answers_when_there_are_some(self):
        at = Besieged()
        self.addCleanup(at.close)
        (admin,) = at.workers_named("--admin-worker")
        wait_until(lambda: waits(admin), what="the admin worker waits for its client")
        limits = resource.prlimit(admin, resource.RLIMIT_NOFILE)
        resource.prlimit(admin, resource.RLIMIT_NOFILE, (1, limits[1]))
        with wire.Peer(at.token_admin_socket, greet=False) as peer:
            before, begun = cpu(admin), time.monotonic()
            time.sleep(2)
            share = (cpu(admin) - before) / (time.monotonic() - begun)
            print("%.1f %% of a processor without descriptors" % (100 * share))
            self.assertLess(share, 0.1)
            resource.prlimit(admin, resource.RLIMIT_NOFILE, limits)
            peer.send(wire.HELLO)
            self.assertEqual(peer.receive()[0], 0x81)
        self.assertLess(at.logs().count("accept_failed"), 30)


if __name__ == "__main__":
    unittest.main()

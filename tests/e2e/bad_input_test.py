"""What goes wrong says so, and nothing is lost: after each of these the honest request still signs."""

import os
import socket
import struct
import subprocess
import time
import unittest

import wire
from harness import Directory, EndToEnd, program, run_as, stopped, test_user, wait_until

REQUEST = '{"request":"/v1/balances"}'


class Clients(EndToEnd):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.at.import_key("honest", api_key="account-honest")

    def tearDown(self):
        self.assertIn("headers", self.at.sign("honest", REQUEST))

    def refused_and_closed(self, *sent, greet=True):
        with wire.Peer(self.at.socket, greet=greet) as peer:
            for data in sent:
                peer.send(data)
            kind, _, fields = peer.receive()
            self.assertEqual(kind, wire.ERROR)
            with self.assertRaises(wire.Closed):
                peer.receive()
            return fields[1].decode(), fields[2].decode()

    def test_a_frame_that_is_too_long(self):
        code, sentence = self.refused_and_closed(struct.pack("<I", 65537))
        self.assertEqual(code, "protocol_error")
        self.assertIn("65536", sentence)

    def test_a_frame_that_is_shorter_than_its_header(self):
        self.assertEqual(self.refused_and_closed(struct.pack("<I", 3) + b"abc")[0], "protocol_error")

    def test_half_a_frame_then_the_end(self):
        with wire.Peer(self.at.socket) as peer:
            peer.send(wire.frame("ping", 1, {})[:7])
            peer.socket.shutdown(socket.SHUT_WR)
            with self.assertRaises(wire.Closed):
                peer.receive()

    def test_half_a_frame_then_silence_ends_in_time_with_a_reason(self):
        with wire.Peer(self.at.socket, timeout=30) as peer:
            peer.send(wire.frame("ping", 1, {})[:7])
            kind, _, fields = peer.receive()
            self.assertEqual((kind, fields[1]), (wire.ERROR, b"protocol_error"))
            self.assertIn(b"silence", fields[2])

    def test_no_hello_first(self):
        self.assertEqual(self.refused_and_closed(wire.frame("ping", 1, {}), greet=False)[0], "protocol_error")

    def test_another_version(self):
        hello = wire.frame("hello", 1, {1: wire.u32(99)})
        code, sentence = self.refused_and_closed(hello, greet=False)
        self.assertEqual(code, "protocol_error")
        self.assertIn("99", sentence)

    def test_an_unknown_operation(self):
        for kind in (0x1F, 0x41, 0x50, 0x20, 0x83, 0xFF):
            with self.subTest(kind):
                self.assertEqual(self.refused_and_closed(wire.frame(kind, 1, {}))[0], "protocol_error")

    def test_an_operation_that_is_to_come_is_refused_by_name_and_the_connection_stays(self):
        with wire.Peer(self.at.socket) as peer:
            for kind in range(0x08, 0x0B):
                peer.send(wire.frame(kind, kind, {}))
                answer, ident, fields = peer.receive()
                self.assertEqual((answer, ident), (wire.ERROR, kind))
                self.assertIn(b"not supported yet", fields[2])
            self.assertEqual(peer.ask("ping", {1: b"still here"})[1], b"still here")

    def test_unknown_fields_are_refused_and_skippable_ones_skipped(self):
        self.assertEqual(self.refused_and_closed(wire.frame("ping", 1, {9: b"x"}))[0], "protocol_error")
        with wire.Peer(self.at.socket) as peer:
            self.assertEqual(peer.ask("ping", {1: b"x", 0x8001: b"later"})[1], b"x")

    def test_a_reference_is_refused_rather_than_ignored(self):
        with wire.Peer(self.at.socket) as peer:
            answer = peer.ask("sign_request", {1: b"honest", 2: REQUEST.encode(), 4: b"ref-1"})
        self.assertEqual(answer["code"], "denied")
        self.assertIn("not supported yet", answer["sentence"])

    def test_payloads_that_are_none(self):
        with wire.Peer(self.at.socket) as peer:
            for text, code in ((b"", "invalid_payload"), (b"{}", "invalid_payload"), (b"[1]", "invalid_payload"),
                               (b"\xff\xfe", "invalid_payload"), (b'{"request":"/v1/nowhere"}', "denied"),
                               (b'{"request":"/v1/balances?x=1"}', "denied"),
                               (b'{"request":"/v1/balances","a":"' + b"x" * 9000 + b'"}', "too_large")):
                answer = peer.ask("sign_request", {1: b"honest", 2: text})
                self.assertEqual(answer.get("code"), code, text[:40])

    def test_a_key_that_is_not_there_reads_like_one_that_may_not_be_used(self):
        with wire.Peer(self.at.socket) as peer:
            absent = peer.ask("sign_request", {1: b"absent", 2: REQUEST.encode()})
        self.assertEqual(absent["code"], "denied")

    def test_an_unknown_uid_gets_one_unauthorized_frame(self):
        os.chmod(self.at.path, 0o755)
        os.chmod(self.at.dir, 0o755)
        os.chmod(self.at.file("run"), 0o755)
        uid = test_user("hsm-test-a")
        code = ("import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\ns.settimeout(10)\n"
                "data=b''\nwhile True:\n    more=s.recv(4096)\n    if not more: break\n    data+=more\n"
                "sys.stdout.buffer.write(data)")
        shown = run_as(uid, code, self.at.socket)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        kind, _, fields = wire.Peer.parse(shown.stdout[4:])
        self.assertEqual((kind, fields[1]), (wire.ERROR, b"unauthorized"))
        admin = run_as(uid, code, self.at.file("run", "admin.sock"))
        self.assertIn(b"Permission denied", admin.stderr)

    def test_a_message_whose_sender_is_not_who_connected(self):
        # The descriptor is inherited by a child: same uid, another process.
        with wire.Peer(self.at.socket) as peer:
            child = os.fork()
            if child == 0:
                try:
                    peer.socket.send(wire.frame("ping", 1, {}))
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            kind, _, fields = peer.receive()
            self.assertEqual((kind, fields[1]), (wire.ERROR, b"protocol_error"))
            self.assertIn(b"sender", fields[2])
            with self.assertRaises(wire.Closed):
                peer.receive()

    def test_descriptors_sent_along_end_the_connection(self):
        with wire.Peer(self.at.socket) as peer:
            peer.socket.sendmsg([wire.frame("ping", 1, {})],
                                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", 0))])
            self.assertEqual(peer.receive()[2][1], b"protocol_error")

    def test_a_client_that_never_reads_is_held_back_and_harms_nobody(self):
        with wire.Peer(self.at.socket, timeout=2) as peer:
            data = wire.frame("ping", 1, {1: b"x" * 256}) * 2000
            try:
                for _ in range(20):
                    peer.send(data)
                self.fail("the signer took 12 MB from a client that reads nothing")
            except socket.timeout:
                pass
            self.assertIn("headers", self.at.sign("honest", REQUEST))

    def test_a_deadline_of_a_millisecond_is_answered_either_way(self):
        with wire.Peer(self.at.socket) as peer:
            for ident in range(50):
                peer.send(wire.frame("sign_request", ident, {1: b"honest", 2: REQUEST.encode(), 3: wire.u32(1)}))
            kinds = [peer.receive() for _ in range(50)]
        for kind, _, fields in kinds:
            self.assertTrue(kind == wire.SIGNED or fields[1] == b"deadline_exceeded", fields)

    def test_a_token_that_stands_still_costs_no_more_than_the_deadline(self):
        with stopped(self.at.workers()), wire.Peer(self.at.socket) as peer:
            begun = time.monotonic()
            answer = peer.ask("sign_request", {1: b"honest", 2: REQUEST.encode(), 3: wire.u32(200)})
            took = time.monotonic() - begun
        self.assertEqual(answer.get("code"), "deadline_exceeded")
        self.assertGreaterEqual(took, 0.19)
        self.assertLess(took, 2)
        wait_until(lambda: self.at.sign("honest", REQUEST, check=False).returncode == 0, what="it signs again")
        self.at.verify_audit()


class Tokens(unittest.TestCase):
    def own(self, **more):
        at = Directory(**more)
        self.addCleanup(at.close)
        return at

    def up_fails(self, at, *words):
        done = at.ctl("up", check=False)
        text = (done.stderr + done.stdout).decode() + at.logs()
        self.assertNotEqual(done.returncode, 0, text)
        for word in words:
            self.assertIn(word, text)
        with open(at.file("pin")) as pin:
            self.assertFalse(pin.read().strip() + "\n" in text, "the PIN is logged or printed")

    def test_a_wrong_pin_is_said_and_latched(self):
        at = self.own(up=False)
        with open(at.file("pin"), "w") as pin:
            pin.write("wrong-pin-999\n")
        self.up_fails(at, "PIN")

    def test_a_module_that_is_not_there(self):
        at = self.own(up=False)
        at.edit("dev.toml", "libsofthsm2.so", "libnothere.so")
        self.up_fails(at, "libnothere.so")

    def test_a_token_that_is_not_there(self):
        at = self.own(up=False)
        at.edit("dev.toml", "token=dev", "token=elsewhere")
        self.up_fails(at, "elsewhere")

    def test_a_typing_error_in_any_configuration_has_file_line_and_column(self):
        for name, program_name in (("signer.toml", "hsm-signerd"), ("dev.toml", "hsm-tokend")):
            at = self.own(up=False)
            with open(at.file(name), "r+") as text:
                content = text.read()
                text.seek(0)
                text.write("verison = 1\n" + content)
            done = subprocess.run([program(program_name), "--config", at.file(name), "--check"], capture_output=True,
                                  check=False, timeout=30)
            self.assertEqual(done.returncode, 2)
            self.assertIn(b"%s:1:1" % name.encode(), done.stderr)
            self.assertIn(b"verison", done.stderr)

    def test_a_typing_error_in_the_policy(self):
        at = self.own(up=False)
        at.edit("policy.toml", "[[rule]]", "[[rule]]\nalow = [\"class:read\"]")
        done = subprocess.run([program("hsm-signerd"), "--config", at.file("signer.toml"), "--check"],
                              capture_output=True, check=False, timeout=30)
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr.decode(), r"policy\.toml:\d+:\d+.*alow")

    def test_a_rule_type_that_is_to_come_is_refused_by_name(self):
        at = self.own(up=False)
        at.edit("policy.toml", "[[rule]]", "[[rule]]\nws_login = true")
        done = subprocess.run([program("hsm-signerd"), "--config", at.file("signer.toml"), "--check"],
                              capture_output=True, check=False, timeout=30)
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr.decode(), r"ws_login.*not supported yet")

    def test_a_blob_for_another_token_is_refused_with_both_fingerprints(self):
        at, other = self.own(), self.own()
        blob = at.file("foreign.blob")
        at.ctl("wrap", "--token-key", other.file("wrap-dev.pub.pem"), "--secret-file", "-", "-o", blob, stdin=b"secret-x")
        done = at.ctl("key", "import", "foreign", "--api-key", "account-foreign", "--environment", "sandbox", "--roles",
                      "trader", "--nonce", "signer-ms", "--blob", blob, check=False)
        self.assertIn(done.returncode, (1, 2))
        self.assertGreaterEqual(done.stderr.count(b"SHA256:"), 2, done.stderr)
        self.assertEqual([], [v for v in at.json("key", "list")["keys"] if v["state"] == "active"])

    def test_a_truncated_or_damaged_blob_is_refused_and_no_half_key_stays(self):
        at = self.own()
        blob = at.file("cut.blob")
        at.ctl("wrap", "--token-key", at.file("wrap-dev.pub.pem"), "--secret-file", "-", "-o", blob, stdin=b"secret-x")
        with open(blob) as text:
            whole = text.read()
        swapped = whole.replace(whole[200], "A" if whole[200] != "A" else "B")
        for broken in (whole[:len(whole) // 2], whole[:100], "", swapped, whole.replace("-----END", "-----ENT")):
            with open(blob, "w") as text:
                text.write(broken)
            done = at.ctl("key", "import", "cut", "--api-key", "account-cut", "--environment", "sandbox", "--roles",
                          "trader", "--nonce", "signer-ms", "--blob", blob, check=False)
            self.assertIn(done.returncode, (1, 2), done.stderr)
        self.assertEqual([], at.json("key", "list")["keys"])
        at.import_key("cut", api_key="account-cut")
        self.assertIn("headers", at.sign("cut", REQUEST))

    def test_state_and_audit_that_cannot_be_written_stop_the_start_with_a_sentence(self):
        # Root writes anywhere: the signer runs as an unprivileged user.
        uid = test_user("hsm-test-a")
        for victim, word in (("audit", "audit"), ("state.db", "state.db")):
            at = self.own()
            at.ctl("down")
            os.chmod(at.path, 0o755)
            for base, folders, files in os.walk(at.dir):
                for entry in ["."] + folders + files:
                    os.chown(os.path.join(base, entry), uid, uid)
            os.chown(at.file(victim), 0, 0)
            os.chmod(at.file(victim), 0o500 if victim == "audit" else 0o400)
            if victim == "state.db":
                os.chown(at.dir, 0, 0)
            os.chmod(at.dir, 0o755)
            copy = os.path.join(at.path, "hsm-signerd")
            subprocess.run(["cp", program("hsm-signerd"), copy], check=True, timeout=30)
            done = subprocess.run([copy, "--config", at.file("signer.toml")], user=uid, group=uid, extra_groups=[],
                                  capture_output=True, check=False, timeout=30)
            self.assertNotEqual(done.returncode, 0, victim)
            self.assertIn(word, done.stderr.decode())
            self.assertRegex(done.stderr.decode(), "_unavailable")

    def test_a_second_daemon_in_the_same_directory_is_refused(self):
        at = self.own()
        done = subprocess.run([program("hsm-signerd"), "--config", at.file("signer.toml")], capture_output=True,
                              check=False, timeout=30)
        self.assertNotEqual(done.returncode, 0)
        at.import_key("first", api_key="account-first")
        self.assertIn("headers", at.sign("first", REQUEST))

    def test_a_pid_file_that_is_none_does_not_hide_a_daemon_that_runs(self):
        at = self.own()
        (pid,) = at.pids("signerd")
        with open(at.file("run", "hsm-signerd.pid"), "w") as text:
            text.write("abc\n")
        self.assertNotEqual(at.ctl("up", check=False).returncode, 0)
        with open(at.file("run", "hsm-signerd.pid"), "w") as text:
            text.write("%d\n" % pid)
        self.assertIn(b"stopped hsm-signerd", at.ctl("down").stdout)

    def test_a_closed_standard_output_is_refused_before_anything_is_signed(self):
        at = self.own()
        at.import_key("closed", api_key="account-closed")
        for closed in (">&-", ">&- 2>&-", "<&-"):
            done = subprocess.run(["sh", "-c", 'exec "$0" --dir "$1" sign closed --request "$2" ' + closed,
                                   program("hsm-signerctl"), at.dir, os.devnull], capture_output=True,
                                  check=False, timeout=30)
            self.assertEqual(done.returncode, 2, done.stderr)
        self.assertNotIn("client_broke_protocol", at.logs())
        self.assertEqual([], [record for record in at.audit_records() if record["kind"] == "sign"])

    def test_what_cannot_be_written_to_standard_output_is_no_success(self):
        at = self.own()
        at.import_key("unread", api_key="account-unread")
        with open("/dev/full", "w") as full:
            done = subprocess.run([program("hsm-signerctl"), "--dir", at.dir, "sign", "unread", "--request", "-"],
                                  input=REQUEST.encode(), stdout=full, stderr=subprocess.PIPE, check=False, timeout=30)
        self.assertEqual(done.returncode, 3, done.stderr)

    def test_a_wrapped_key_replaces_nothing_that_is_there(self):
        at = self.own()
        there = at.file("there")
        with open(there, "w") as text:
            text.write("precious")
        for target in (there, at.file("run", "signer.sock"), at.dir):
            done = at.ctl("wrap", "--token-key", at.file("wrap-dev.pub.pem"), "--secret-file", "-", "-o", target,
                          stdin=b"secret-x", check=False)
            self.assertEqual(done.returncode, 2, target)
        with open(there) as text:
            self.assertEqual(text.read(), "precious")

    def test_destroying_one_of_several_versions_needs_its_number(self):
        at = self.own()
        for number in (1, 2):
            at.import_key("twice", api_key="account-twice%d" % number)
        for more in ((), ("--version", "0"), ("--version", "99")):
            self.assertIn(at.ctl("key", "destroy", "twice", "--yes", *more, check=False).returncode, (1, 2), more)
        states = {v["version"]: v["state"] for v in at.json("key", "list")["keys"]}
        self.assertEqual(states, {1: "draining", 2: "active"})
        at.ctl("key", "destroy", "twice", "--yes", "--version", "1")
        self.assertIn("headers", at.sign("twice", REQUEST))

    def test_a_killed_worker_is_replaced(self):
        at = self.own(workers=1)
        at.import_key("replaced", api_key="account-replaced")
        before = set(at.workers())
        for worker in before:
            os.kill(worker, 9)
        wait_until(lambda: at.sign("replaced", REQUEST, check=False).returncode == 0, what="a new worker signs")
        self.assertFalse(before & set(at.workers()))

    def test_without_its_token_host_the_signer_says_so_at_once_and_recovers(self):
        at = self.own()
        at.import_key("alone", api_key="account-alone")
        for pid in at.pids("tokend"):
            os.kill(pid, 15)
            wait_until(lambda p=pid: not os.path.exists("/proc/%d" % p), what="the token host stops")
        begun = time.monotonic()
        done = at.sign("alone", REQUEST, check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"token_unavailable", done.stderr + done.stdout)
        self.assertLess(time.monotonic() - begun, 6)
        at.ctl("up")
        wait_until(lambda: at.sign("alone", REQUEST, check=False).returncode == 0, what="it signs again")


if __name__ == "__main__":
    unittest.main()

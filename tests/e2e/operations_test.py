"""What an operator does with a signer that runs: asks it what it would do, stops it at work, finishes an import that
was cut off, changes the PIN; and clients that are not root, each with its own rule."""

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
import unittest

import wire
from harness import SECRET, Directory, EndToEnd, end, pkcs11_tool, program, run_as, stopped, test_user, wait_until

REQUEST = '{"request":"/v1/balances"}'
ORDER = ('{"request":"/v1/order/new","symbol":"btcusd","amount":"0.01","price":"1000.00","side":"buy",'
         '"type":"exchange limit"}')
KEY_CHECK = "1a4e982cb5977ab3"  # Of SECRET: docs/protocol.md.


def client(name, uid):
    return '[[client]]\nname = "%s"\nuid = "%s"\n' % (name, uid)


def rule(name, who, key, **words):
    lists = "".join("%s = %s\n" % (verb, json.dumps(words[verb])) for verb in words)
    return '[[rule]]\nname = "%s"\nclient = "%s"\nkey = "%s"\n%s' % (name, who, key, lists)


def write_policy(at, *parts):
    with open(at.file("policy.toml"), "w") as text:
        text.write("version = 1\n\n" + "\n".join(parts))


def frames(key, count):
    fields = {1: key.encode(), 2: REQUEST.encode()}
    return b"".join(wire.frame("sign_request", ident, fields) for ident in range(count))


class Questions(EndToEnd):
    """list_keys, whoami, explain: what the policy gives this caller, and the rule that decides."""

    @classmethod
    def setUpClass(cls):
        cls.at = Directory(up=False)
        cls.addClassCleanup(cls.at.close)
        write_policy(cls.at, client("desk", os.getuid()),
                     rule("desk trades", "desk", "desk.one", allow=["class:read", "class:trade", "class:move"]),
                     rule("no new orders", "desk", "desk.one", deny=["/v1/order/new"]),
                     rule("desk reads", "desk", "desk.two", allow=["class:read"]))
        cls.at.ctl("up")
        for name in ("desk.one", "desk.two", "others"):
            cls.at.import_key(name, api_key="account-" + name.replace(".", "-"))

    def explain(self, key, payload):
        return json.loads(self.at.ctl("--json", "explain", key, "--request", "-", stdin=payload.encode()).stdout)

    def test_whoami_is_the_kernels_word_and_the_policys_name(self):
        self.assertEqual(self.at.json("whoami"), {"uid": os.getuid(), "gid": os.getgid(), "client": "desk"})
        with wire.Peer(self.at.socket) as peer:
            self.assertEqual(peer.ask("whoami", {}), {1: wire.u32(os.getuid()), 2: wire.u32(os.getgid()), 3: b"desk"})

    def test_a_ping_is_echoed_up_to_256_bytes(self):
        self.assertRegex(self.at.json("ping")["daemon"], "^hsm-signerd/")
        with wire.Peer(self.at.socket) as peer:
            self.assertEqual(peer.ask("ping", {1: b"\0" * 256}), {1: b"\0" * 256})
            self.assertEqual(peer.ask("ping", {1: b"\0" * 257}).get("code"), "too_large")

    def test_keys_lists_what_a_rule_allows_and_no_other(self):
        listed = {item["key"]: item for item in self.at.json("keys")["keys"]}
        self.assertEqual(sorted(listed), ["desk.one", "desk.two"])
        self.assertEqual(listed["desk.one"]["classes"].split(","), ["read", "trade", "move"])
        self.assertEqual(listed["desk.two"], {"key": "desk.two", "version": 1, "environment": "sandbox",
                                              "api_key_id": "account-desk-two", "roles": "trader",
                                              "nonce": "signer-ms", "classes": "read"})

    def test_keys_come_in_pages(self):
        with wire.Peer(self.at.socket) as peer:
            pages = [peer.ask("list_keys", {1: wire.u32(offset), 2: wire.u32(1)}) for offset in range(3)]
        self.assertEqual([page[1] for page in pages], [wire.u32(2)] * 3)
        names = [[item[1] for item in wire.records(page.get(2, b""))] for page in pages]
        self.assertEqual(names, [[b"desk.one"], [b"desk.two"], []])

    def test_explain_names_the_rule_that_allows_and_signs_nothing(self):
        before = self.at.json("status")["signatures"]
        told = self.explain("desk.one", REQUEST)
        self.assertEqual((told["allowed"], told["rule"], told["code"]), (True, "desk trades", ""))
        self.assertEqual((told["endpoint"], told["class"]), ("/v1/balances", "read"))
        self.assertEqual([(step["rule"], step["verdict"]) for step in told["steps"] if step["verdict"] != "guard"],
                         [("desk trades", "allows"), ("no new orders", "other_endpoint"), ("desk reads", "other_key")])
        self.assertEqual(self.at.json("status")["signatures"], before)

    def test_explain_names_the_rule_that_denies_and_signing_is_refused_by_it(self):
        told = self.explain("desk.one", ORDER)
        self.assertEqual((told["allowed"], told["rule"], told["code"]), (False, "no new orders", "denied"))
        self.assertIn(("no new orders", "denies"), [(step["rule"], step["verdict"]) for step in told["steps"]])
        with wire.Peer(self.at.socket) as peer:
            answer = peer.ask("sign_request", {1: b"desk.one", 2: ORDER.encode()})
        self.assertEqual(answer["code"], "denied")
        self.assertIn("no new orders", answer["sentence"])
        (record,) = [r for r in self.at.audit_records() if r.get("endpoint") == "/v1/order/new"]
        self.assertEqual((record["verdict"], record["rule"], record["code"]), ("refuse", "no new orders", "denied"))

    def test_explain_says_that_no_rule_allows_that_a_guard_forbids_and_that_a_key_is_not_ours(self):
        withdraw = '{"request":"/v2/withdraw/bitcoin/btc","address":"a","amount":"1"}'
        for key, payload, word in (("desk.two", ORDER, "/v1/order/new"), ("desk.one", withdraw, "fund_manager"),
                                   ("others", REQUEST, "may not use"), ("absent", REQUEST, "may not use")):
            told = self.explain(key, payload)
            self.assertEqual((told["allowed"], told["code"], told["rule"]), (False, "denied", ""), told)
            self.assertIn(word, told["sentence"])

    def test_explain_of_an_unknown_endpoint_is_denied(self):
        done = self.at.ctl("--json", "explain", "desk.one", "--request", "-", stdin=b'{"request":"/v1/nowhere"}',
                           check=False)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(json.loads(done.stdout)["error"]["code"], "denied")
        self.assertIn(b"endpoint", done.stderr)

    def test_key_show_tells_everything_but_the_secret(self):
        (shown,) = self.at.json("key", "show", "desk.two")["keys"]
        for name, value in {"key": "desk.two", "version": 1, "label": "desk.two.v1", "token": "dev",
                            "api_key_id": "account-desk-two", "environment": "sandbox", "scope": "account",
                            "roles": "trader", "nonce": "signer-ms", "key_check": KEY_CHECK, "state": "active"}.items():
            self.assertEqual(shown[name], value, name)
        self.assertFalse(SECRET in self.at.ctl("key", "show", "desk.two").stdout.decode(), "the secret is shown")
        self.assertEqual(self.at.ctl("key", "show", "absent", check=False).returncode, 1)


class Stopping(EndToEnd):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.at.import_key("busy", api_key="account-busy")
        for pid in cls.at.pids("signerd"):
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda p=pid: not os.path.exists("/proc/%d" % p), what="the signer stops")

    def setUp(self):
        """A signer whose exit status this test sees."""
        with open(self.at.file("log", "own.log"), "w") as log:
            self.signer = subprocess.Popen([program("hsm-signerd"), "--config", self.at.file("signer.toml")],
                                           stdout=log, stderr=log)
        self.addCleanup(end, self.signer)
        wait_until(lambda: self.at.sign("busy", REQUEST, check=False).returncode == 0, what="the signer signs")

    def draining(self):
        with open(self.at.file("log", "own.log")) as log:
            return "draining" in log.read()

    def ends_well_with(self, answers, idents):
        """Each frame has one answer, each signature its record, and the log is whole."""
        self.assertEqual(self.signer.wait(20), 0)
        self.assertEqual(sorted(ident for _, ident, _ in answers), list(idents))
        self.at.verify_audit()
        recorded = {r["seq"]: r for r in self.at.audit_records()}
        signed = [fields for kind, _, fields in answers if kind == wire.SIGNED]
        for fields in signed:
            record = recorded[int.from_bytes(fields[5], "little")]
            self.assertEqual(record["signature_sha256"], hashlib.sha256(fields[3]).hexdigest())
            self.assertEqual(record["nonce"].encode(), fields[4])
        refused = [fields for kind, _, fields in answers if kind != wire.SIGNED]
        self.assertEqual({fields[1] for fields in refused} - {b"overloaded"}, set())
        return len(signed), len(refused)

    def test_sigterm_in_the_middle_of_a_pipeline_answers_every_frame_once(self):
        with wire.Peer(self.at.socket) as peer:
            peer.send(frames("busy", 300))
            answers = [peer.receive()]
            self.signer.send_signal(signal.SIGTERM)
            answers += [peer.receive() for _ in range(299)]
            with self.assertRaises(wire.Closed):
                peer.receive()
        self.ends_well_with(answers, range(300))

    def test_sigterm_finishes_what_waits_for_the_token_and_refuses_what_comes_later(self):
        with wire.Peer(self.at.socket, timeout=20) as peer:
            with stopped(self.at.workers()):
                peer.send(frames("busy", 300) + wire.frame("ping", 999, {}))
                self.assertEqual(peer.receive()[1], 999)  # All frames before it have been read.
                self.signer.send_signal(signal.SIGTERM)
                wait_until(self.draining, what="the signer drains")
                peer.send(wire.frame("sign_request", 300, {1: b"busy", 2: REQUEST.encode()}))
                late = peer.receive()
                self.assertEqual((late[0], late[1], late[2][1]), (wire.ERROR, 300, b"overloaded"))
            answers = [late] + [peer.receive() for _ in range(300)]
        self.assertEqual(self.ends_well_with(answers, range(301)), (300, 1))

    def test_drain_ends_the_signer_and_later_requests_find_none(self):
        self.at.ctl("drain")
        self.assertEqual(self.signer.wait(20), 0)
        self.assertTrue(self.draining())
        self.assertEqual(self.at.sign("busy", REQUEST, check=False).returncode, 3)
        self.assertEqual(self.at.ctl("ping", check=False).returncode, 3)
        self.at.verify_audit()
        self.assertEqual(self.at.audit_records()[-1]["kind"], "stop")


class CutOffImports(unittest.TestCase):
    """An import is register, import, activate: what a crash leaves between them, `key check` finds and mends."""

    def setUp(self):
        self.at = Directory()
        self.addCleanup(self.at.close)

    def register(self, name, key_check=bytes.fromhex(KEY_CHECK), **more):
        fields = {1: name.encode(), 2: b"dev", 3: b"account-" + name.encode(), 4: b"sandbox", 5: b"account",
                  6: b"trader", 7: b"signer-ms", 8: key_check}
        fields.update({int(tag[1:]): value for tag, value in more.items()})
        with wire.Peer(self.at.admin_socket) as peer:
            return peer.ask("register_key", fields)

    def import_only(self, label, cka_id):
        text = self.at.ctl("wrap", "--token-key", self.at.file("wrap-dev.pub.pem"), "--secret-file", "-",
                           stdin=SECRET.encode()).stdout.decode()
        blob = base64.b64decode("".join(line for line in text.splitlines() if not line.startswith("-----")))
        self.assertEqual(blob[40:48].hex(), KEY_CHECK)
        with wire.Peer(self.at.token_admin_socket) as peer:
            answer = peer.ask("import", {1: label.encode(), 2: wire.u16(cka_id), 3: blob})
        self.assertEqual(answer.get(1), bytes.fromhex(KEY_CHECK), answer)

    def found(self, label, word):
        done = self.at.ctl("--json", "key", "check", check=False)
        self.assertEqual(done.returncode, 4, done.stdout)
        (bad,) = [item for item in json.loads(done.stdout)["keys"] if not item["ok"]]
        self.assertEqual(bad["label"], label)
        self.assertIn(word, bad["finding"])
        self.assertEqual(self.at.ctl("key", "check", check=False).returncode, 4)  # Looking mends nothing.

    def mended(self, label, *more):
        done = self.at.json("key", "check", "--mend", *more)
        (item,) = [item for item in done["keys"] if item["label"] == label]
        self.assertTrue(item["mended"], item)
        self.at.ctl("key", "check")

    def test_a_registration_without_an_import_is_found_and_removed(self):
        self.register("registered")
        self.found("registered.v1", "the token does not hold it")
        self.mended("registered.v1")
        states = {v["state"] for v in self.at.json("key", "list")["keys"] if v["key"] == "registered"}
        self.assertEqual(states, {"destroyed"})

    def test_an_import_without_an_activation_is_found_and_finished(self):
        registered = self.register("imported")
        self.import_only(registered[3].decode(), int.from_bytes(registered[2], "little"))
        self.found("imported.v1", "not activated")
        self.assertEqual(self.at.sign("imported", REQUEST, check=False).returncode, 1)
        self.mended("imported.v1")
        headers = self.at.sign("imported", REQUEST)["headers"]
        self.assertTrue(wire.signs_rightly(SECRET, headers["X-GEMINI-PAYLOAD"], headers["X-GEMINI-SIGNATURE"]))

    def test_a_key_that_nobody_registered_is_found_and_destroyed_when_told_so(self):
        self.import_only("stray.v1", 4242)
        self.found("stray.v1", "not registered")
        self.mended("stray.v1", "--yes")
        self.assertNotIn("stray", self.at.ctl("key", "check").stdout.decode())

    def test_another_secret_than_the_registered_one_is_not_activated(self):
        registered = self.register("swapped", key_check=b"\1" * 8)
        self.import_only(registered[3].decode(), int.from_bytes(registered[2], "little"))
        done = self.at.ctl("key", "check", "swapped", "--mend", check=False)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertNotEqual(self.at.sign("swapped", REQUEST, check=False).returncode, 0)
        with wire.Peer(self.at.admin_socket) as peer:
            self.assertIn("code", peer.ask("activate_key", {1: b"swapped", 2: registered[1]}))

    def test_a_statement_where_nobody_would_look_at_it_is_refused_and_registers_nothing(self):
        before = self.at.json("key", "list")
        answer = self.register("stated", _9=b"officer one agrees")
        self.assertEqual(answer.get("code"), "denied", answer)
        self.assertIn("signer.toml has no [officers]", answer["sentence"])
        self.assertEqual(self.at.json("key", "list"), before)


CALLER = """
import hashlib, json, re, sys
sys.path.insert(0, sys.argv[1])
import wire
with wire.Peer(sys.argv[2]) as peer:
    who = peer.ask("whoami", {})
    keys = [item[1].decode() for item in wire.records(peer.ask("list_keys", {}).get(2, b""))]
    said = {"client": who[3].decode(), "keys": keys}
    for key in sys.argv[3:]:
        answer = peer.ask("sign_request", {1: key.encode(), 2: b'{"request":"/v1/balances"}'})
        said[key] = answer.get("code") or (bool(re.fullmatch(b"[0-9a-f]{96}", answer[3])) and
                                           hashlib.sha256(answer[3]).hexdigest())
print(json.dumps(said))
"""


class UnprivilegedCallers(EndToEnd):
    def test_each_uid_signs_with_its_own_key_and_is_denied_the_others(self):
        at = self.own(up=False)
        uids = {"mm": test_user("hsm-test-a"), "arb": test_user("hsm-test-b")}
        # root is no client here: a signer that took everybody for the one who started it would not sign.
        write_policy(at, *(client(name, uid) for name, uid in uids.items()),
                     *(rule(name + " reads", name, name + ".key", allow=["class:read"]) for name in uids))
        at.ctl("up")
        for folder in (at.path, at.dir, at.file("run")):
            os.chmod(folder, 0o755)
        shutil.copy(wire.__file__, at.path)
        os.chmod(os.path.join(at.path, "wire.py"), 0o644)
        for name in uids:
            at.import_key(name + ".key", api_key="account-" + name)
        for name, other in (("mm", "arb"), ("arb", "mm")):
            done = run_as(uids[name], CALLER, at.path, at.socket, name + ".key", other + ".key", "absent.key")
            self.assertEqual(done.returncode, 0, done.stderr)
            said = json.loads(done.stdout)
            self.assertEqual((said["client"], said["keys"]), (name, [name + ".key"]))
            self.assertEqual((said[other + ".key"], said["absent.key"]), ("denied", "denied"))
            own = [r for r in at.audit_records() if r.get("uid") == uids[name] and r["kind"] == "sign"]
            self.assertEqual([(r["client"], r["key"], r["verdict"], r["rule"]) for r in own],
                             [(name, name + ".key", "allow", name + " reads"), (name, other + ".key", "refuse", ""),
                              (name, "absent.key", "refuse", "")])
            self.assertEqual(own[0]["signature_sha256"], said[name + ".key"])
            self.assertEqual({r["code"] for r in own[1:]}, {"denied"})
        at.verify_audit()


class WhileItRuns(EndToEnd):
    def test_checkpoints_are_made_each_second_while_it_signs(self):
        self.at.import_key("sealed", api_key="account-sealed")
        before = len(self.sizes())
        until, sequence = time.monotonic() + 3.2, 0
        with wire.Peer(self.at.socket) as peer:
            while time.monotonic() < until:
                sequence = int.from_bytes(peer.ask("sign_request", {1: b"sealed", 2: REQUEST.encode()})[5], "little")
        sizes = self.sizes()
        self.assertEqual(sizes, sorted(set(sizes)))
        self.assertGreaterEqual(len(sizes) - before, 2, sizes)
        self.assertLessEqual(sizes[-1], sequence)
        wait_until(lambda: self.sizes()[-1] > sequence, 5, "the last record is sealed too, with its worker's usage")
        self.at.verify_audit()

    def sizes(self):
        """Of the notes in audit/checkpoints: origin, size, root; an empty line; the signature."""
        path = self.at.file("audit", "checkpoints")
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as text:
            lines = text.read().splitlines()
        return [int(lines[i + 1]) for i, line in enumerate(lines) if line.startswith("hsm-signer/audit/")]

    def test_a_changed_pin_is_read_at_the_next_login(self):
        at = self.own()
        at.import_key("pinned", api_key="account-pinned")
        new = "another-pin-of-this-token"
        # No worker is between logins now: one that met the old PIN in the file would latch the token host.
        (supervisor,), before = at.pids("tokend"), at.workers()
        changed = pkcs11_tool(at, "--change-pin", "--new-pin", "env:HSM_TEST_NEW_PIN", HSM_TEST_NEW_PIN=new)
        self.assertIn(b"PIN successfully changed", changed)
        with open(at.file("pin"), "w") as pin:
            pin.write(new + "\n")
        for worker in before:
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not set(before) & set(at.children(supervisor)), what="the workers are gone")
        wait_until(lambda: at.sign("pinned", REQUEST, check=False).returncode == 0, what="new workers sign")
        self.assertEqual(len(at.workers(supervisor)), 2)  # The same supervisor's.


if __name__ == "__main__":
    unittest.main()

"""An API secret enters the token encrypted, and requests are signed as the exchange documents them."""

import base64
import hashlib
import json
import os
import subprocess
import time
import unittest

import wire
from harness import API_KEY, SECRET, EndToEnd, end, program, wait_until

V1 = ('{\n    "request": "/v1/order/status",\n    "nonce": 123456,\n\n    "order_id": 18834\n}\n',
      "1234abcd", "caller-ms",
      "337cc8b4ea692cfe65b4a85fcc9f042b2e3f702ac956fd098d600ab15705775017beae402be773ceee10719ff70d710f")
V2 = ('{"request":"/v1/balances","nonce":1700000000000,"account":"primary"}', "conformance-api-secret", "caller-ms",
      "82faa56c051276fb51f65045585036d1ff3ac0ab2393506d3a070bcfa60754fb1b54ef912dda417ff31a0fc9e0ada5e2")
V3 = ('{"request":"/v1/order/new","nonce":"1700000000","client_order_id":"t-1","symbol":"btcusd","amount":"0.01",'
      '"price":"1000.00","side":"buy","type":"exchange limit","options":["maker-or-cancel"]}',
      "conformance-api-secret", "caller-ms",
      "25e02a20af959bb7f37fb74db2eaf03b7dffa8acc5e67dfb8d24b8ab9450d49fe053b578a39dea91c9c38629d8778eb2")
V5 = ('{"request": "/v1/balances", "nonce": 1700000000.000001}', "conformance-api-secret", "caller-s",
      "244fa10336bd67257a03147a59ad4931be997d7c8347ffcdf0b74449b1257df70cd47ba56086bb64a10b480ff34681e9")
V6 = ('{"request":"/v1/order/events","nonce":123456}', "1234abcd", "caller",
      "f755c043024b70144538984023ac5314149e4406123014b31158346ce5e1fa0c44ed6a13730d81bfb91fa14e6c172eb6")


class FirstSignature(EndToEnd):
    def assert_signed(self, signed, secret, key):
        headers = signed["headers"]
        self.assertTrue(wire.signs_rightly(secret, headers["X-GEMINI-PAYLOAD"], headers["X-GEMINI-SIGNATURE"]), key)

    def test_documented_examples_give_the_documented_signatures(self):
        for number, (payload, secret, nonce, signature) in enumerate([V1, V2, V3, V5, V6]):
            key = "vector-%d" % number
            self.at.import_key(key, api_key="account-vector%d" % number, secret=secret, nonce=nonce)
            signed = self.at.sign(key, payload, "--verbatim")
            self.assertTrue(signed["headers"]["X-GEMINI-SIGNATURE"] == signature, key)
            self.assertEqual(base64.b64decode(signed["headers"]["X-GEMINI-PAYLOAD"]), payload.encode())
            self.assertEqual(signed["headers"]["X-GEMINI-APIKEY"], "account-vector%d" % number)
            again = self.at.sign(key, payload, "--verbatim", check=False)
            self.assertEqual(again.returncode, 1)
            self.assertIn(b"nonce_conflict", again.stderr + again.stdout)

    def test_secrets_of_every_length_sign_like_hmac_of_the_secret(self):
        for length in (1, 20, 28, 47, 48, 49, 64, 127, 128, 129, 200):
            secret = "".join(chr(33 + (i * 7 + length) % 94) for i in range(length))
            key = "length-%d" % length
            self.at.import_key(key, api_key="account-length%d" % length, secret=secret)
            signed = self.at.sign(key, '{"request":"/v1/balances"}')
            self.assert_signed(signed, secret, key)

    def test_secrets_that_are_none_are_refused_and_nothing_is_registered(self):
        for name, secret in {"empty": b"", "newline": b"\n", "inner space": b"abc def", "control": b"abc\x01def",
                             "trailing nul": b"abcdef\0", "tab": b"abc\tdef", "high": b"abc\xffdef",
                             "5 MB": b"a" * 5_000_000}.items():
            with self.subTest(name):
                done = self.at.ctl("key", "import", "never", "--api-key", "account-never", "--environment", "sandbox",
                                   "--roles", "trader", "--nonce", "signer-ms", "--secret-file", "-", stdin=secret,
                                   check=False)
                self.assertIn(done.returncode, (1, 2), done.stderr)
                self.assertFalse((secret.strip() or b"\xfe") in done.stderr + done.stdout, "the secret is printed")
        listed = self.at.json("key", "list")
        self.assertNotIn("never", json.dumps(listed))

    def test_the_signer_puts_a_rising_nonce_into_a_request(self):
        self.at.import_key("rising", api_key="account-rising")
        nonces = [int(self.at.sign("rising", '{"request":"/v1/balances","nonce":1}')["nonce"]) for _ in range(5)]
        self.assertEqual(nonces, sorted(set(nonces)))
        self.assertLess(abs(nonces[0] - time.time() * 1000), 10_000)

    def test_pipelined_requests_are_all_answered_with_rising_nonces_and_recorded_first(self):
        self.at.import_key("pipeline", api_key="account-pipeline")
        with wire.Peer(self.at.socket) as peer:
            fields = {1: b"pipeline", 2: b'{"request":"/v1/balances"}'}
            peer.send(b"".join(wire.frame("sign_request", ident, fields) for ident in range(500)))
            answers = [peer.receive() for _ in range(500)]
        self.assertEqual({kind for kind, _, _ in answers}, {wire.SIGNED})
        self.assertEqual([ident for _, ident, _ in answers], list(range(500)))
        nonces = [int(fields[4]) for _, _, fields in answers]
        self.assertEqual(nonces, sorted(set(nonces)))
        for _, _, fields in answers:
            self.assertTrue(wire.signs_rightly(SECRET, fields[2], fields[3]), "a wrong signature")
        recorded = {record["nonce"]: record for record in self.at.audit_records()
                    if record.get("key") == "pipeline" and record.get("verdict") == "allow"}
        for _, _, fields in answers:
            record = recorded[fields[4].decode()]
            self.assertEqual(record["seq"], int.from_bytes(fields[5], "little"))
            self.assertEqual(record["signature_sha256"], hashlib.sha256(fields[3]).hexdigest())

    def test_a_restart_neither_repeats_nor_lowers_a_nonce(self):
        at = self.own()
        at.import_key("restart", api_key="account-restart")
        seen = [int(at.sign("restart", '{"request":"/v1/balances"}')["nonce"])]
        for stop in ("down", "kill"):
            if stop == "down":
                at.ctl("down")
            else:
                for pid in at.pids("signerd"):
                    os.kill(pid, 9)
                at.ctl("down", check=False)
            at.ctl("up")
            seen.append(int(at.sign("restart", '{"request":"/v1/balances"}')["nonce"]))
        self.assertEqual(seen, sorted(set(seen)))
        at.ctl("audit", "verify", at.file("audit"), "--key", at.file("audit.pub.pem"))

    def test_the_audit_log_verifies_and_a_changed_byte_does_not(self):
        at = self.own()
        at.import_key("audited", api_key="account-audited")
        for _ in range(3):
            at.sign("audited", '{"request":"/v1/balances"}')
        at.ctl("down")
        verify = ("audit", "verify", at.file("audit"), "--key", at.file("audit.pub.pem"))
        at.ctl(*verify)
        (segment,) = [name for name in os.listdir(at.file("audit")) if name.endswith(".jsonl")]
        path = at.file("audit", segment)
        with open(path, "rb") as log:
            content = log.read()
        self.assertFalse(SECRET.encode() in content, "the log holds the secret")
        at_byte = content.index(b'"allow"') + 1
        with open(path, "wb") as log:
            log.write(content[:at_byte] + b"A" + content[at_byte + 1:])
        self.assertEqual(at.ctl(*verify, check=False).returncode, 4)

    def test_a_log_whose_seals_were_removed_stops_the_start_and_is_not_sealed_again(self):
        at = self.own()
        at.import_key("forged", api_key="account-forged")
        at.sign("forged", '{"request":"/v1/balances"}')
        at.ctl("down")
        os.remove(at.file("audit", "checkpoints"))
        at.edit(os.path.join("audit", "audit-000001.jsonl"), '"client":"developer"', '"client":"nobody-did"')
        refused = at.ctl("up", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("sealed less far", refused.stderr.decode() + at.logs())
        at.ctl("down", check=False)

    def test_a_lost_log_is_given_up_only_when_told_so_and_nonces_go_on(self):
        at = self.own()
        at.import_key("lost-log", api_key="account-lost-log")
        before = int(at.sign("lost-log", '{"request":"/v1/balances"}')["nonce"])
        at.ctl("down")
        os.rename(at.file("audit"), at.file("evidence"))
        self.assertNotEqual(at.ctl("up", check=False).returncode, 0)
        self.assertIn("--audit-lost", at.logs())
        at.ctl("down", check=False)
        begun = subprocess.Popen([program("hsm-signerd"), "--config", at.file("signer.toml"), "--audit-lost"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(end, begun)
        wait_until(lambda: at.ctl("ping", check=False).returncode == 0, what="a signer with a new log answers")
        end(begun)
        again = subprocess.run([program("hsm-signerd"), "--config", at.file("signer.toml"), "--audit-lost"],
                               capture_output=True, check=False, timeout=30)
        self.assertEqual(again.returncode, 2, again.stderr)
        self.assertIn(b"empty audit directory", again.stderr)
        at.ctl("up")
        self.assertGreater(int(at.sign("lost-log", '{"request":"/v1/balances"}')["nonce"]), before)

    def test_a_lost_state_lets_no_nonce_of_the_log_come_again(self):
        at = self.own()
        payload = '{"request":"/v1/balances","nonce":1700000000000}'
        at.import_key("lost-state", api_key="account-lost-state", nonce="caller-ms")
        at.sign("lost-state", payload, "--verbatim")
        at.ctl("down")
        for name in os.listdir(at.dir):
            if name.startswith("state.db"):
                os.remove(at.file(name))
        at.ctl("up")
        at.ctl("key", "check", "--mend", "--yes")  # The token's object, which this state does not know.
        at.import_key("lost-state", api_key="account-lost-state", nonce="caller-ms")
        refused = at.sign("lost-state", payload, "--verbatim", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b"nonce_conflict", refused.stderr)
        at.sign("lost-state", payload.replace("0000}", "0001}"), "--verbatim")

    def test_fsync_durability_answers_too_and_keeps_the_order_of_nonces(self):
        at = self.own(up=False)
        at.edit("policy.toml", "allow = ", 'durability = "fsync"\nallow = ')
        at.ctl("up")
        at.import_key("durable", api_key="account-durable")
        with wire.Peer(at.socket) as peer:
            fields = {1: b"durable", 2: b'{"request":"/v1/balances"}'}
            peer.send(b"".join(wire.frame("sign_request", ident, fields) for ident in range(200)))
            answers = [peer.receive() for _ in range(200)]
        self.assertEqual({kind for kind, _, _ in answers}, {wire.SIGNED})
        nonces = [int(fields[4]) for _, _, fields in answers]
        self.assertEqual(nonces, sorted(set(nonces)))

    def test_an_offline_blob_is_imported_and_signs(self):
        blob = self.at.file("offline.blob")
        self.at.ctl("wrap", "--token-key", self.at.file("wrap-dev.pub.pem"), "--secret-file", "-", "-o", blob,
                    stdin=b"offline-secret")
        self.at.ctl("key", "import", "offline", "--api-key", "account-offline", "--environment", "sandbox", "--roles",
                    "trader", "--nonce", "signer-ms", "--blob", blob)
        signed = self.at.sign("offline", '{"request":"/v1/balances"}')
        self.assert_signed(signed, "offline-secret", "offline")

    def test_a_destroyed_key_signs_no_more_and_its_cka_id_is_not_given_again(self):
        self.at.import_key("short-lived", api_key="account-short")
        before = [v for v in self.at.json("key", "list")["keys"] if v["key"] == "short-lived"]
        self.at.ctl("key", "destroy", "short-lived", "--yes")
        refused = self.at.sign("short-lived", '{"request":"/v1/balances"}', check=False)
        self.assertEqual(refused.returncode, 1)
        self.at.import_key("short-lived", api_key="account-short2")
        after = [v for v in self.at.json("key", "list")["keys"] if v["key"] == "short-lived"]
        self.assertEqual(len({v["cka_id"] for v in before + after}), len(before) + 1)


class SimulatedExchange(EndToEnd):
    def test_an_order_signed_in_the_token_is_accepted_and_a_replay_is_not(self):
        self.at.import_key("order", api_key=API_KEY)
        keys = self.at.file("sim.toml")
        with open(keys, "w") as text:
            text.write('[[key]]\nid = "%s"\nsecret = "%s"\nroles = ["trader"]\nnonce = "incrementing"\n'
                       % (API_KEY, SECRET))
        port_file = self.at.file("sim.port")
        sim = subprocess.Popen([program("gemini-sim"), "--keys", keys, "--listen", "127.0.0.1:0", "--port-file", port_file],
                               stdout=subprocess.DEVNULL)
        self.addCleanup(end, sim)
        wait_until(lambda: os.path.exists(port_file), what="gemini-sim tells its port")
        with open(port_file) as text:
            url = "http://127.0.0.1:%s" % text.read().strip()
        order = {"request": "/v1/order/new", "symbol": "btcusd", "amount": "0.01", "price": "1000.00", "side": "buy",
                 "type": "exchange limit", "client_order_id": "e2e-1"}
        signed = self.at.sign("order", json.dumps(order))
        answer = self.post(url + "/v1/order/new", signed["headers"])
        self.assertTrue(answer["is_live"], answer)
        self.assertEqual(answer["client_order_id"], "e2e-1")
        replay = self.post(url + "/v1/order/new", signed["headers"])
        self.assertEqual(replay["reason"], "InvalidNonce")
        status = self.at.sign("order", json.dumps({"request": "/v1/order/status", "order_id": int(answer["order_id"])}))
        self.assertEqual(self.post(url + "/v1/order/status", status["headers"])["order_id"], answer["order_id"])

    @staticmethod
    def post(url, headers):
        command = ["curl", "--silent", "--max-time", "10", "-X", "POST", "-H", "Content-Type: text/plain", "-H",
                   "Content-Length: 0", "-H", "Cache-Control: no-cache"]
        for name, value in headers.items():
            command += ["-H", "%s: %s" % (name, value)]
        return json.loads(subprocess.run(command + [url], capture_output=True, check=True, timeout=30).stdout)


if __name__ == "__main__":
    unittest.main()

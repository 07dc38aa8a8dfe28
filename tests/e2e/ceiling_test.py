"""hsm-tokend does not trust hsm-signerd: a program that speaks to <token>.sock with the signer's own uid gets nothing
above the key's ceiling."""

import base64
import hashlib
import hmac
import os
import unittest

import wire
from harness import SECRET, EndToEnd, wait_until

KCV = hmac.new(SECRET.encode(), b"\0hsm-signer kcv v1\0", hashlib.sha384).digest()[:8]
LABEL = b"ceiling.v1"


def mac_fields(message, kcv=KCV, label=LABEL, cka_id=1, **more):
    return {1: label, 2: wire.u16(cka_id), 3: kcv, 4: message, **more}


def payload(text):
    return base64.b64encode(text.encode())


class Ceiling(EndToEnd):
    workers = 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.at.import_key("ceiling", api_key="account-ceiling", roles="trader,fund_manager")
        (version,) = cls.at.json("key", "list")["keys"]
        cls.cka_id = version["cka_id"]
        # The signer is taken over: it is gone, and we hold its uid. No entry in ceilings.toml: the defaults.
        cls.at.ctl("down")
        with open(cls.at.file("ceilings.toml"), "w") as text:
            text.write("version = 1\n")
        cls.at.ctl("up")
        for pid in cls.at.pids("signerd"):
            os.kill(pid, 9)

    def peer(self):
        """A connection to a worker, in place of the last one: a worker serves one and ends, the next one starts."""
        self.doCleanups()
        peer = self.at.worker()
        self.addCleanup(peer.socket.close)
        return peer

    def mac(self, message, **more):
        return self.peer().ask("mac", mac_fields(message, cka_id=self.cka_id, **more))

    def assert_refused(self, answer, what=None):
        """Without showing what was answered: where that is no error it is a MAC."""
        self.assertTrue("code" in answer, ("not refused", what))

    def test_a_read_is_signed_so_the_refusals_below_mean_something(self):
        message = payload('{"request":"/v1/balances","nonce":1}')
        answer = self.mac(message)
        self.assertTrue(wire.signs_rightly(SECRET, message, answer[1].hex()))

    def test_a_withdrawal_is_refused(self):
        for text in ('{"request":"/v2/withdraw/bitcoin/btc","nonce":2,"address":"bc1q","amount":"1"}',
                     '{"request":"/v1/withdraw/BTC","nonce":3,"address":"bc1q","amount":"1"}',
                     '{"request":"/v1/account/transfer/btc","nonce":4,"sourceAccount":"a","targetAccount":"b","amount":"1"}',
                     '{"request":"/v1/staking/stake","nonce":5,"providerId":"p","currency":"ETH","amount":"1"}',
                     '{"request":"/v1/deposit/bitcoin/newAddress","nonce":6}',
                     '{"request":"/v1/account/create","nonce":7,"name":"x"}'):
            answer = self.mac(payload(text))
            self.assertIn(answer.get("code"), ("approval_required", "denied"), text)

    def test_a_withdrawal_with_a_made_up_statement_is_refused(self):
        withdrawal = payload('{"request":"/v2/withdraw/bitcoin/btc","nonce":2,"address":"bc1q","amount":"1"}')
        fields = {**mac_fields(withdrawal, cka_id=self.cka_id), 5: b"approved by both officers"}
        self.assertIn(self.peer().ask("mac", fields).get("code"), ("approval_required", "denied"))

    def test_a_websocket_login_string_is_refused(self):
        self.assert_refused(self.mac(base64.b64encode(b"1700000000")))

    def test_arbitrary_bytes_are_refused(self):
        for message in (b"hello", b"\0" * 48, b"\xff" * 32, b"", b"\0hsm-signer kcv v1\0",
                        base64.b64encode(b"\0hsm-signer kcv v1\0"), base64.b64encode(os.urandom(60)),
                        payload('["/v1/balances"]'), payload('"x"'), payload("{}"), payload('{"nonce":1}')):
            self.assert_refused(self.mac(message), message)

    def test_base64_that_is_not_canonical_is_refused(self):
        good = payload('{"request":"/v1/balances","nonce":8 }')
        self.assertTrue(good.endswith(b"="), "the case needs padding")
        loose = good.rstrip(b"=")
        last = bytes([loose[-1] + 1])
        for message in (loose, good + b"\n", b" " + good, good[:20] + b"\n" + good[20:], loose[:-1] + last + b"=",
                        base64.urlsafe_b64encode(b'{"request":"/v1/balances","nonce":9,"a":"\xc3\xbf\xc3\xbf>>??"}'), good + b"===="):
            self.assert_refused(self.mac(message), message)

    def test_a_payload_that_two_parsers_could_read_differently_is_refused(self):
        for text in ('{"request":"/v1/balances","request":"/v2/withdraw/bitcoin/btc","nonce":1}',
                     '{"request":"/v1/balances","nonce":1}x', '{"request":"/v1/balances","Request":"x","nonce":1}',
                     '{"request":"/v1/balances","nonce":1,"a":"\\ud800"}'):
            self.assert_refused(self.mac(payload(text)), text)

    def test_another_key_check_value_or_id_is_refused(self):
        message = payload('{"request":"/v1/balances","nonce":1}')
        self.assertEqual(self.mac(message, kcv=b"\0" * 8).get("code"), "quarantined")
        self.assert_refused(self.peer().ask("mac", mac_fields(message, cka_id=self.cka_id + 1)))
        self.assert_refused(self.mac(message, label=b"ceiling.v2"))
        self.assert_refused(self.mac(message, label=b"hsm-signer-wrap"))

    def test_admin_verbs_end_the_conversation(self):
        for verb in ("import", "destroy", "generate", "wrap_key"):
            peer = self.peer()
            peer.send(wire.frame(verb, 1, {1: LABEL, 2: wire.u16(self.cka_id)}))
            with self.assertRaises(wire.Closed, msg=verb):
                for _ in range(10):
                    peer.receive()
        listed = self.peer().ask("list", {})
        self.assertIn(LABEL, listed[2])

    def test_the_checkpoint_key_signs_checkpoints_only(self):
        for text in (b"", b"hello", b"hsm-signer usage v1\ndev\n1\n2\n00\n", b"origin\n1\n", b"origin\nx\nAAAA\n",
                     payload('{"request":"/v1/balances","nonce":1}')):
            self.assert_refused(self.peer().ask("sign_checkpoint", {1: text}), text)
        root = base64.b64encode(hashlib.sha256(b"").digest())
        self.assertNotIn("code", self.peer().ask("sign_checkpoint", {1: b"hsm-signer/test\n0\n" + root + b"\n"}))

    def test_fifty_a_second_and_no_more(self):
        message = payload('{"request":"/v1/balances","nonce":1}')
        fields = mac_fields(message, cka_id=self.cka_id)
        one, other = self.peer(), wire.Peer(self.at.token_socket)
        self.addCleanup(other.socket.close)
        other.ask("info", {})
        codes = [one.ask("mac", fields).get("code") for _ in range(300)]
        # A burst of fifty, and fifty for each second that this took; another worker shares the count.
        codes += [other.ask("mac", fields).get("code") for _ in range(20)]
        self.assertIn("rate_limited", codes[:300])
        self.assertLess(codes.count(None), 300)
        self.assertIn("rate_limited", codes[300:])


if __name__ == "__main__":
    unittest.main()

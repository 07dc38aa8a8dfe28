#!/usr/bin/env python3
"""A client that asks for signatures without end and writes down every answer as it gets it, before it asks for more.

    load.py SOCKET RECEIPTS KEY… [--form request|order|caller-ms] [--depth N] [--deadline MS]

Asks with the keys in turn; reconnects whenever the signer goes away; ends at SIGTERM. RECEIPTS gets one line of JSON for
each signature (nonce, audit sequence, SHA-256 of the signature, payload: never the signature) and one for each refusal.
From a test, `Load` runs it in a process of its own and reads the receipts back. It is given no secret, as a trading
program is not."""

import argparse
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
import wire  # noqa: E402
from harness import die_with_parent, end  # noqa: E402

SIGNED = (wire.SIGNED, wire.SIGNED_VERBATIM)
BALANCES = '{"request":"/v1/balances"}'
ORDER = ('{"request":"/v1/order/new","symbol":"btcusd","amount":"1","price":"%d.50","side":"buy",'
         '"type":"exchange limit","client_order_id":"under-load-%d"}')
PAUSE = 0.002  # Between two attempts to connect.
AHEAD_MS = 2_000  # The signer takes nonces of callers up to 5 s ahead of the clock.


def receipt(fields):
    """What a client keeps of a signature that it got."""
    assert len(fields[3]) == 96, "a signature of %d digits" % len(fields[3])
    return {"nonce": fields[4].decode(), "seq": int.from_bytes(fields[5], "little"), "payload": fields[2].decode(),
            "signature_sha256": hashlib.sha256(fields[3]).hexdigest(), "api_key": fields[1].decode(),
            "key": fields[6].decode(), "version": int.from_bytes(fields[7], "little")}


class Client:
    """Keeps `depth` requests unanswered on one connection."""

    def __init__(self, arguments):
        self.socket, self.form, self.depth = arguments.socket, arguments.form, arguments.depth
        self.keys = [key.encode() for key in arguments.keys]
        self.more = {3: wire.u32(arguments.deadline)} if arguments.deadline else {}
        self.out = os.open(arguments.receipts, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.asked = 0
        self.nonce = 0

    def request(self):
        self.asked += 1
        payload, kind = BALANCES, "sign_request"
        if self.form == "order":
            payload = ORDER % (self.asked % 1000 + 1, self.asked)
        if self.form == "caller-ms":
            now = time.time_ns() // 1_000_000
            time.sleep(max(0, self.nonce - now - AHEAD_MS) / 1000)
            self.nonce = max(self.nonce + 1, now)
            payload, kind = '{"request":"/v1/balances","nonce":"%d"}' % self.nonce, "sign_verbatim"
        return wire.frame(kind, self.asked, {1: self.keys[self.asked % len(self.keys)], 2: payload.encode(), **self.more})

    def write(self, receipts):
        os.write(self.out, b"".join(json.dumps(item).encode() + b"\n" for item in receipts))

    def converse(self):
        with wire.Peer(self.socket, timeout=120) as peer:
            peer.send(b"".join(self.request() for _ in range(self.depth)))
            while True:
                came = [peer.receive()]
                while peer.has_frame():
                    came.append(peer.receive())
                self.write([receipt(fields) if kind in SIGNED else {"code": fields[1].decode()}
                            for kind, _, fields in came])
                if came[0][0] not in SIGNED:
                    time.sleep(PAUSE)  # Refused: no hurry to be refused again.
                peer.send(b"".join(self.request() for _ in came))

    def run(self):
        while True:
            with contextlib.suppress(OSError, wire.Closed):
                self.converse()
            time.sleep(PAUSE)


class Load:
    """load.py in a process of its own. It stands still until it is let go: `with load.running(): …`."""

    def __init__(self, socket, receipts, *keys, form="request", depth=16, deadline=0):
        self.keys, self.path, self.offset, self.signed, self.refusals = keys, receipts, 0, 0, {}
        command = [sys.executable, __file__, socket, receipts, *keys, "--form", form, "--depth", str(depth),
                   "--deadline", str(deadline)]
        self.process = subprocess.Popen(command, preexec_fn=die_with_parent)
        os.kill(self.process.pid, signal.SIGSTOP)

    @contextlib.contextmanager
    def running(self):
        os.kill(self.process.pid, signal.SIGCONT)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGSTOP)

    def read(self):
        """The receipts of signatures since the last call; counts them, and the refusals by code."""
        if self.process.poll() is not None:
            raise AssertionError("load.py ended by itself, with %d" % self.process.returncode)
        if not os.path.exists(self.path):
            return []
        with open(self.path, "rb") as lines:
            lines.seek(self.offset)
            text = lines.read()
        whole = text[:text.rfind(b"\n") + 1]
        self.offset += len(whole)
        receipts = [json.loads(line) for line in whole.splitlines()]
        for item in receipts:
            if "code" in item:
                self.refusals[item["code"]] = self.refusals.get(item["code"], 0) + 1
        signed = [item for item in receipts if "nonce" in item]
        self.signed += len(signed)
        return signed

    def close(self):
        os.kill(self.process.pid, signal.SIGCONT)
        end(self.process)


def main():
    parser = argparse.ArgumentParser(description="Ask for signatures without end.")
    parser.add_argument("socket")
    parser.add_argument("receipts")
    parser.add_argument("keys", nargs="+")
    parser.add_argument("--form", choices=("request", "order", "caller-ms"), default="request")
    parser.add_argument("--depth", type=int, default=16)
    parser.add_argument("--deadline", type=int, default=0, help="milliseconds; 0: the signer's own")
    client = Client(parser.parse_args())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    client.run()


if __name__ == "__main__":
    main()

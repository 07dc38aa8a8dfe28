#!/usr/bin/env python3
"""A client that asks for signatures without end and writes down every answer as it gets it, before it asks for more.

    load.py SOCKET KEY RECEIPTS [--form request|caller-ms] [--depth N]

Reconnects whenever the signer goes away; ends at SIGTERM. RECEIPTS gets one line of JSON for each signature (nonce, audit
sequence, SHA-256 of the signature, payload: never the signature) and one for each refusal. From a test, `Load` runs it
in a process of its own and reads the receipts back."""

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

SIGNED = (0x83, 0x84)
PAUSE = 0.002  # Between two attempts to connect.
AHEAD_MS = 2_000  # The signer takes nonces of callers up to 5 s ahead of the clock.


class Client:
    """Keeps `depth` requests unanswered on one connection."""

    def __init__(self, arguments):
        self.socket, self.key, self.form = arguments.socket, arguments.key.encode(), arguments.form
        self.depth = arguments.depth
        self.out = os.open(arguments.receipts, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.asked = 0
        self.nonce = 0

    def request(self):
        self.asked += 1
        if self.form == "request":
            payload, kind = '{"request":"/v1/balances"}', "sign_request"
        else:
            now = time.time_ns() // 1_000_000
            time.sleep(max(0, self.nonce - now - AHEAD_MS) / 1000)
            self.nonce = max(self.nonce + 1, now)
            payload, kind = '{"request":"/v1/balances","nonce":"%d"}' % self.nonce, "sign_verbatim"
        return wire.frame(kind, self.asked, {1: self.key, 2: payload.encode()})

    @staticmethod
    def receipt(kind, fields):
        if kind not in SIGNED:
            return {"code": fields[1].decode()}
        return {"nonce": fields[4].decode(), "seq": int.from_bytes(fields[5], "little"),
                "signature_sha256": hashlib.sha256(fields[3]).hexdigest(), "payload": fields[2].decode(),
                "api_key": fields[1].decode(), "key": fields[6].decode(),
                "version": int.from_bytes(fields[7], "little")}

    def write(self, receipts):
        os.write(self.out, b"".join(json.dumps(item).encode() + b"\n" for item in receipts))

    def converse(self):
        with wire.Peer(self.socket, timeout=30) as peer:
            peer.send(b"".join(self.request() for _ in range(self.depth)))
            while True:
                came = [peer.receive()]
                while peer.has_frame():
                    came.append(peer.receive())
                self.write([self.receipt(kind, fields) for kind, _, fields in came])
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

    def __init__(self, socket, key, receipts, form="request", depth=16):
        self.key, self.path, self.offset, self.refusals = key, receipts, 0, {}
        command = [sys.executable, __file__, socket, key, receipts, "--form", form, "--depth", str(depth)]
        self.process = subprocess.Popen(command)
        os.kill(self.process.pid, signal.SIGSTOP)

    @contextlib.contextmanager
    def running(self):
        os.kill(self.process.pid, signal.SIGCONT)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGSTOP)

    def read(self):
        """The receipts of signatures since the last call; counts the refusals by code."""
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
        return [item for item in receipts if "nonce" in item]

    def close(self):
        os.kill(self.process.pid, signal.SIGCONT)
        self.process.terminate()
        self.process.wait(10)


def main():
    parser = argparse.ArgumentParser(description="Ask for signatures without end.")
    parser.add_argument("socket")
    parser.add_argument("key")
    parser.add_argument("receipts")
    parser.add_argument("--form", choices=("request", "caller-ms"), default="request")
    parser.add_argument("--depth", type=int, default=16)
    client = Client(parser.parse_args())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    client.run()


if __name__ == "__main__":
    main()

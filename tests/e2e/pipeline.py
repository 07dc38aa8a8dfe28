"""A client that signs as fast as Python can: frames made beforehand, many in flight, answers counted and only a sample read."""

import base64
import json
import time

import wire
from harness import SECRET

FRAMES = 4096  # Made once; their ids come again and again.


class Pipeline:
    """Keeps `depth` requests unanswered on one connection."""

    def __init__(self, path, key, depth=64, payload=b'{"request":"/v1/balances"}', sample=1000):
        fields = {1: key.encode(), 2: payload}
        self.frames = memoryview(b"".join(wire.frame("sign_request", ident, fields) for ident in range(FRAMES)))
        self.size = len(self.frames) // FRAMES
        self.depth, self.sample = depth, sample
        self.signed = self.checked = self.last_nonce = 0
        self.peer = wire.Peer(path, timeout=30)
        self.buffer = b""

    def ask(self, asked, count):
        """The frames that follow the first `asked`."""
        at = asked % FRAMES
        count = min(count, FRAMES - at)
        self.peer.socket.sendall(self.frames[at * self.size:(at + count) * self.size])
        return count

    def run(self, count, tick=None):
        """`count` signatures; `tick(signed)` once a second meanwhile."""
        asked, goal, second = 0, self.signed + count, time.monotonic() + 1
        begun = self.signed
        while self.signed < goal:
            room = min(self.depth - (asked - (self.signed - begun)), count - asked)
            if room > 0:
                asked += self.ask(asked, room)
                if room > 1 and asked % FRAMES == 0:
                    continue
            self.take(self.peer.socket.recv(1 << 18))
            if tick and time.monotonic() >= second:
                second += 1
                tick(self.signed)

    def take(self, data):
        if not data:
            raise wire.Closed()
        came, self.buffer = wire.whole_frames(self.buffer + data)
        for content in came:
            if content[0] != wire.SIGNED:
                raise AssertionError("refused: %r" % (wire.Peer.parse(content)[2],))
            self.signed += 1
            if self.signed % self.sample == 0:
                self.check(wire.Peer.parse(content)[2])

    def check(self, fields):
        """The signature is that of the secret, over a payload with this nonce, above the last one seen."""
        assert wire.signs_rightly(SECRET, fields[2], fields[3]), "a wrong signature"
        nonce = int(fields[4])
        assert int(json.loads(base64.b64decode(fields[2]))["nonce"]) == nonce > self.last_nonce, "nonces rise"
        self.last_nonce = nonce
        self.checked += 1

    def close(self):
        self.peer.socket.close()

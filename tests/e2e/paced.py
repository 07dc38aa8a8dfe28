"""A client that sends at a steady rate whatever happens to its answers, and checks each signature against the secret
itself: what a trading program does, and what it would find out too late."""

import selectors
import time

import wire


class Answer:
    """What became of one request. `code` is "" for a right signature, "wrong" for a wrong one, else the error's."""

    def __init__(self, sent, key):
        self.sent, self.key = sent, key
        self.seconds = self.code = self.seq = None
        self.own = False  # Set by who asks whether its key waited for another worker.


class Paced:
    """Requests over one connection, spread over `keys` in turn."""

    def __init__(self, socket_path, secrets, rate, deadline_ms):
        self.peer = wire.Peer(socket_path)
        self.peer.socket.setblocking(False)
        self.keys = sorted(secrets)
        self.secrets = secrets
        self.rate, self.deadline_ms = rate, deadline_ms
        self.answers = []
        self.unsent = b""
        self.buffer = b""
        self.open = 0

    def key_of(self, ident):
        return self.keys[ident % len(self.keys)]

    def request(self, ident):
        return wire.frame("sign_request", ident, {1: self.key_of(ident).encode(), 2: b'{"request":"/v1/balances"}',
                                                  3: wire.u32(self.deadline_ms)})

    def run(self, count, patience):
        """Sends `count` requests at the rate; waits `patience` seconds at most for the last answers. The answers."""
        first, begun = len(self.answers), time.monotonic()
        watch = selectors.DefaultSelector()
        watch.register(self.peer.socket, selectors.EVENT_READ)
        while len(self.answers) < first + count or self.open:
            now = time.monotonic()
            # All keys at once: single requests would all find the first worker idle.
            rounds = int((now - begun) * self.rate / len(self.keys)) + 1
            due = min(count, rounds * len(self.keys))
            while len(self.answers) - first < due:
                self.unsent += self.request(len(self.answers))
                self.answers.append(Answer(now, self.key_of(len(self.answers))))
                self.open += 1
            self.push()
            if watch.select(0.5 / self.rate):
                self.pull()
            if len(self.answers) == first + count and now > begun + count / self.rate + patience:
                break
        watch.close()
        return self.answers[first:]

    def push(self):
        try:
            while self.unsent:
                self.unsent = self.unsent[self.peer.socket.send(self.unsent):]
        except BlockingIOError:
            pass

    def pull(self):
        try:
            data = self.peer.socket.recv(1 << 20)
        except BlockingIOError:
            return
        if not data:
            raise wire.Closed()
        came, self.buffer = wire.whole_frames(self.buffer + data)
        for content in came:
            self.take(content)

    def take(self, content):
        kind, ident, fields = wire.Peer.parse(content)
        answer = self.answers[ident]
        assert answer.code is None, "answered twice: %d" % ident
        answer.seconds = time.monotonic() - answer.sent
        self.open -= 1
        if kind == wire.ERROR:
            answer.code = fields[1].decode()
            return
        assert kind == wire.SIGNED, kind
        answer.code = "" if wire.signs_rightly(self.secrets[fields[6].decode()], fields[2], fields[3]) else "wrong"
        answer.seq = int.from_bytes(fields[5], "little")

    def close(self):
        self.peer.socket.close()


def percentile(values, which):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * which / 100))] if ordered else float("nan")

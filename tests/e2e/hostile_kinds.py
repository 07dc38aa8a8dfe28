"""The kinds of hostile clients, each a small class: what it sends first, what at each beat, how it reads, and what the daemon
owes it. hostile.py runs them."""

import array
import contextlib
import errno
import os
import random
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
import wire  # noqa: E402

BEAT = 0.05  # Seconds between two beats of a connection's clock.
REQUEST = b'{"request":"/v1/balances"}'
MANY = 64 * 1024  # Bytes of a pipeline that are made once and sent again and again.


def frame_of(count, fields, kind=2, length=None):
    content = struct.pack("<BBHQ", kind, 0, count, 1) + fields
    return wire.u32(len(content) if length is None else length) + content


def field(tag, content=b""):
    return struct.pack("<HI", tag, len(content)) + content


def pipeline(*frames):
    """These frames, again and again."""
    once = b"".join(frames)
    return once * max(1, MANY // len(once))


class Leaves(Exception):
    """A client closes its connection itself."""


class Hostile:
    """One connection. A kind says what it sends first, what it sends at each beat, and how it reads."""

    greets = True  # Sends a hello first.
    opening = b""
    reads = 65536  # At most, in one go; 0: never.
    again = False  # Connects anew when it has ended.
    owed = None  # The code of the one error frame that it gets, where the daemon ends it.
    patience = None  # Seconds until the daemon has ended it at the latest; None: it may stay.

    def __init__(self, path, key):
        self.path, self.key = path, key
        self.socket = None
        self.out, self.buffer, self.codes = b"", b"", []
        self.began = self.ended = 0.0
        self.answers = self.beats = 0

    def connect(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.began, self.ended, self.buffer = time.monotonic(), 0.0, b""
        self.socket.connect(self.path)
        self.out = (wire.HELLO if self.greets else b"") + self.first()

    def first(self):
        return self.opening

    def begin(self):
        """Once, after the opening was sent."""

    def beat(self):
        """What more it sends, every BEAT seconds."""
        return b""

    def move(self):
        self.out += self.beat()
        self.send()

    def send(self):
        while self.out:
            sent = self.socket.send(self.out)
            self.out = self.out[sent:]

    def receive(self):
        data = self.socket.recv(self.reads)
        if not data:
            raise wire.Closed()
        self.buffer += data
        self.parse()

    def parse(self):
        """Counts answers and keeps the codes of errors, without looking into the rest."""
        came, self.buffer = wire.whole_frames(self.buffer)
        self.answers += len(came)
        for content in came:
            if content[0] == wire.ERROR and len(self.codes) < 100:
                self.codes.append(wire.Peer.parse(content)[2][1].decode())

    def close(self):
        self.ended = time.monotonic()
        self.socket.close()


# Broken from the first byte, or soon after.

class Broken(Hostile):
    owed, patience = "protocol_error", 3


class Garbage(Broken):
    """Random bytes instead of a hello."""
    greets = False

    def first(self):
        return b"\xff\xff" + random.randbytes(2) + random.randbytes(4096)


class GarbageLater(Broken):
    """A hello, a ping, then random bytes."""

    def first(self):
        return wire.frame("ping", 1, {}) + b"\xff\xff" + random.randbytes(4096)


class HugeLength(Broken):
    opening = wire.u32(0xFFFFFFFF) + b"x" * 1000


class LongByOne(Broken):
    opening = wire.u32(65537) + b"x" * 1000


class ZeroLength(Broken):
    opening = wire.u32(0)


class ManyFields(Broken):
    """A count of 65,535 over a frame that has none."""
    opening = frame_of(65535, b"")


class FieldBeyondFrame(Broken):
    opening = frame_of(1, struct.pack("<HI", 1, 0xFFFFFFFF) + b"x")


class TagsDescend(Broken):
    opening = frame_of(2, field(2) + field(1))


class TagTwice(Broken):
    opening = frame_of(2, field(1) + field(1))


class UnknownTag(Broken):
    opening = frame_of(1, field(9, b"x"))


class WrongVersion(Broken):
    greets = False
    opening = wire.frame("hello", 0, {1: wire.u32(0xFFFFFFFF)})


class NoHello(Broken):
    greets = False
    opening = wire.frame("sign_request", 1, {1: b"any", 2: REQUEST})


class AdminVerb(Broken):
    """What only an administrator may ask, on the socket of clients."""
    opening = wire.frame("drain", 1, {})


class TokenVerb(Broken):
    opening = wire.frame("mac", 1, {1: b"honest.v1", 2: wire.u16(1), 3: b"x" * 8, 4: b"e30="})


class AnswerForARequest(Broken):
    opening = wire.frame(0x83, 1, {1: b"x"})


# Slow and half open.

class Silent(Broken):
    """Connects and says nothing: the greeting's five seconds."""
    greets = False
    patience = 8


class DripsHello(Broken):
    """Its hello comes a byte a second."""
    greets = False
    patience = 8

    def first(self):
        self.left, self.next = wire.HELLO, 0.0
        return b""

    def beat(self):
        if time.monotonic() < self.next or not self.left:
            return b""
        self.next = time.monotonic() + 1
        byte, self.left = self.left[:1], self.left[1:]
        return byte


class HalfFrame(Broken):
    """Ten seconds of silence inside a frame."""
    opening = wire.frame("ping", 1, {1: b"x" * 100})[:50]
    patience = 13


class DripsFrame(Hostile):
    """A byte a second of a frame of 64 KiB: it may, it has one place of its uid's and one buffer."""
    opening = wire.u32(65536)
    at = 0.0

    def beat(self):
        if time.monotonic() < self.at:
            return b""
        self.at = time.monotonic() + 1
        return b"\2"


class HalfOpen(Hostile):
    """Connects and closes its sending side."""
    greets = False
    patience = 3

    def begin(self):
        self.socket.shutdown(socket.SHUT_WR)


class HalfOpenLater(HalfOpen):
    """Asks for a thousand things and closes its sending side before one of them is answered."""
    greets = True
    opening = wire.frame("sign_request", 1, {1: b"honest", 2: REQUEST}) * 1000


class Idle(Hostile):
    """A hello and nothing more: as a client that has nothing to ask."""


# Too much.

class NeverReads(Hostile):
    """Thousands of requests with the largest answers, and never a read."""
    reads = 0
    opening = pipeline(wire.frame("ping", 1, {1: b"x" * 256}))

    def beat(self):
        return self.opening if not self.out else b""


class NeverReadsDenials(NeverReads):
    """The same with what has to be parsed, judged, refused and written down."""

    def first(self):
        self.opening = pipeline(wire.frame("sign_request", 1, {1: b"honest", 2: REQUEST}))
        return self.opening


class ReadsAByte(NeverReads):
    """The same, reading one byte at a time."""
    reads = 1

    def move(self):
        self.receive()
        super().move()


class Flood(Hostile):
    """As many requests as the daemon takes, their answers read at once."""
    opening = pipeline(wire.frame("ping", 1, {1: b"x" * 200}), wire.frame("explain", 2, {1: b"honest", 2: REQUEST}))

    def beat(self):
        return self.opening if not self.out else b""


class FloodOfDenials(Flood):
    opening = pipeline(wire.frame("sign_request", 1, {1: b"honest", 2: REQUEST}))


class FloodOfNonsense(Flood):
    """Payloads near the limit that are nearly JSON."""
    opening = pipeline(wire.frame("sign_request", 1, {1: b"honest", 2: b'{"request":"/v1/order/new","a":[' + b'{"b":1},' * 700}))


class FloodOfTags(Flood):
    """Ten thousand fields to skip in each frame."""
    opening = frame_of(10001, field(1, b"x") + b"".join(field(0x8000 + i) for i in range(10000)))


class FloodOfLists(Flood):
    """Lists from beyond the end."""
    opening = pipeline(wire.frame("list_keys", 1, {1: wire.u32(0xFFFFFFFF), 2: wire.u32(0xFFFFFFFF)}),
                       wire.frame("list_keys", 2, {}))


class FloodOfSignatures(Flood):
    """Its own key, as fast as it can, and more in flight than a connection may have."""

    def first(self):
        self.opening = pipeline(wire.frame("sign_request", 1, {1: self.key, 2: REQUEST}))
        return self.opening


class Storm(Hostile):
    """Connects, perhaps greets, and is gone again, without end."""
    again = True

    def beat(self):
        if random.random() < 0.5:
            raise Leaves()
        return b""


# Tricks with what a Unix socket carries beside bytes.

class PassesDescriptors(Broken):
    """As many descriptors as one message takes (SCM_MAX_FD, unix(7)), to fill the daemon's table."""
    count = 253

    def begin(self):
        self.passed = False

    def beat(self):
        if self.passed:
            return b""
        with open(os.devnull, "rb") as null:
            fds = array.array("i", [null.fileno()] * self.count)
            try:
                self.socket.sendmsg([wire.frame("ping", 1, {})], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
                self.passed = True
            except OSError as error:
                if error.errno != errno.ETOOMANYREFS:  # Too many on their way: with the next beat.
                    raise
        return b""


class PassesOneWithAByte(PassesDescriptors):
    """One descriptor, on the first byte that the daemon reads from this connection."""
    greets, count = False, 1


class Lends(Broken):
    """Another process writes on a connection that is not its own."""

    def begin(self):
        child = os.fork()
        if child == 0:
            try:
                os.write(self.socket.fileno(), wire.frame("ping", 1, {}))
            finally:
                os._exit(0)
        os.waitpid(child, 0)


class ForgesCredentials(Hostile):
    """Says that it is root's pid 1: the kernel does not pass that on (unix(7), SCM_CREDENTIALS)."""

    def begin(self):
        root = struct.pack("iii", 1, 0, 0)
        with contextlib.suppress(PermissionError):
            self.socket.sendmsg([wire.frame("ping", 1, {})], [(socket.SOL_SOCKET, 2, root)])
            self.codes.append("the kernel took forged credentials")
        self.out += wire.frame("ping", 1, {})


KINDS = {kind.__name__: kind for kind in (
    Garbage, GarbageLater, HugeLength, LongByOne, ZeroLength, ManyFields, FieldBeyondFrame, TagsDescend, TagTwice,
    UnknownTag, WrongVersion, NoHello, AdminVerb, TokenVerb, AnswerForARequest, Silent, DripsHello, HalfFrame,
    DripsFrame, HalfOpen, HalfOpenLater, Idle, NeverReads, NeverReadsDenials, ReadsAByte, Flood, FloodOfDenials, FloodOfNonsense, FloodOfTags,
    FloodOfLists, FloodOfSignatures, Storm, PassesDescriptors, PassesOneWithAByte, Lends, ForgesCredentials)}

"""The framing of docs/protocol.md in Python's standard library: written from the document, shares no code with
the daemons, so that a test which speaks it checks both."""

import collections
import hashlib
import hmac
import socket
import struct

TYPES = {
    "hello": 0x01, "ping": 0x02, "sign_request": 0x03, "sign_verbatim": 0x04, "list_keys": 0x05, "whoami": 0x06,
    "explain": 0x07, "sign_relayed": 0x08, "sign_ws_login": 0x09, "gate_enter": 0x0b, "gate_leave": 0x0c, "push_skew": 0x0d, "push_reference": 0x0e, "register_key": 0x20, "activate_key": 0x21,
    "forget_key": 0x22, "list_versions": 0x23, "status": 0x24, "drain": 0x25, "check_keys": 0x26,
    "destroyed_key": 0x27, "set_switch": 0x28, "thaw": 0x29, "lease": 0x2A, "list_switches": 0x2B, "panic": 0x2C,
    "reload_policy": 0x2D, "raise_alarm": 0x2E, "let_go": 0x2F,
    "list_approvals": 0x30, "submit_approval": 0x31, "reject_approval": 0x32, "info": 0x40, "mac": 0x41, "list": 0x42, "key_check": 0x43, "forget": 0x44,
    "sign_checkpoint": 0x45, "usage": 0x46, "import": 0x50, "destroy": 0x51, "generate": 0x52, "wrap_key": 0x53,
}
SIGNED, SIGNED_VERBATIM, ERROR = 0x83, 0x84, 0xFF


def u16(value):
    return struct.pack("<H", value)


def u32(value):
    return struct.pack("<I", value)


def body(kind, ident, fields):
    """What `length` counts. `fields`: {tag: bytes}."""
    out = struct.pack("<BBHQ", kind, 0, len(fields), ident)
    for tag in sorted(fields):
        out += struct.pack("<HI", tag, len(fields[tag])) + fields[tag]
    return out


def frame(kind, ident, fields):
    content = body(TYPES[kind] if isinstance(kind, str) else kind, ident, fields)
    return u32(len(content)) + content


def records(data):
    """The records of a list field, each {tag: bytes}."""
    out, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        (count,) = struct.unpack_from("<H", data, at + 4)
        out.append(tags(data[at + 6:at + 4 + size], count))
        at += 4 + size
    return out


def tags(content, count):
    at, fields = 0, {}
    for _ in range(count):
        tag, size = struct.unpack_from("<HI", content, at)
        fields[tag] = content[at + 6:at + 6 + size]
        at += 6 + size
    return fields


def whole_frames(buffer):
    """The contents of the frames that are whole, and the bytes behind them."""
    found, at = [], 0
    while len(buffer) - at >= 4:
        (length,) = struct.unpack_from("<I", buffer, at)
        if len(buffer) - at < 4 + length:
            break
        found.append(buffer[at + 4:at + 4 + length])
        at += 4 + length
    return found, buffer[at:]


def octets(text):
    return text.encode() if isinstance(text, str) else text


def signature_of(secret, payload):
    """Of a payload in base64; 96 hexadecimal digits."""
    return hmac.new(octets(secret), octets(payload), hashlib.sha384).hexdigest().encode()


def signs_rightly(secret, payload, signature):
    """A bool, since of two signatures that are not equal a test that fails would print both."""
    return hmac.compare_digest(signature_of(secret, payload), octets(signature))


HELLO = frame("hello", 0, {1: u32(1), 2: b"e2e"})


class Closed(Exception):
    """The peer has closed the connection."""


class Peer:
    """One connection. `greet=False` leaves the hello to the test."""

    def __init__(self, path, greet=True, timeout=10):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.came, self.buffer = collections.deque(), b""
        try:
            self.socket.connect(path)
            if greet:
                self.greet()
        except BaseException:
            self.socket.close()
            raise

    def greet(self):
        self.send(HELLO)
        kind, _, fields = self.receive()
        if kind == ERROR:
            raise AssertionError("hello refused: %s" % fields[2].decode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def has_frame(self):
        """Whether receive() will not wait."""
        return bool(self.came)

    def receive(self):
        """(type, id, {tag: bytes}) of the next frame; Closed at the end."""
        while not self.came:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                raise Closed() from None
            if not data:
                raise Closed()
            came, self.buffer = whole_frames(self.buffer + data)
            self.came.extend(came)
        return self.parse(self.came.popleft())

    @staticmethod
    def parse(content):
        kind, _, count, ident = struct.unpack_from("<BBHQ", content)
        return kind, ident, tags(content[12:], count)

    def ask(self, kind, fields, ident=1):
        """The answer's fields, or {'code':…, 'sentence':…, 'retry_after_ms':…} for an error."""
        self.send(frame(kind, ident, fields))
        answer, got, fields = self.receive()
        if answer == ERROR:
            return {"code": fields[1].decode(), "sentence": fields[2].decode(),
                    "retry_after_ms": int.from_bytes(fields.get(3, b""), "little")}
        assert got == ident, (got, ident)
        return fields

"""The forms in which an HMAC-SHA384 secret could lie in a memory or a file, and the search for them.

A run of bytes counts once it is too long for chance: freed memory loses the first 16 bytes of what was in it to the
allocator's own pointers, and the rest of a secret is still a secret."""

import base64
import hashlib
import struct

BLOCK = 128  # SHA-384's block: HMAC hashes longer keys (RFC 2104 section 2).
PADDED = 48  # Shorter keys are zero-padded to this before they enter a token.
LEAST = 12  # Bytes of a secret in a row: 70 bits and more of a random one.
MOST = 4096


class Unfit(Exception):
    """This secret cannot be searched for; the sentence says why, and does not show it."""


def canonical(secret):
    """As it enters the token: under 48 bytes zero-padded, over 128 its SHA-384."""
    return hashlib.sha384(secret).digest() if len(secret) > BLOCK else secret.ljust(PADDED, b"\0")


def _primes(count):
    found = []
    candidate = 2
    while len(found) < count:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return found


def _root_fraction(number, power):
    """First 64 bits behind the point of a square or cube root: where FIPS 180-4 takes its constants from."""
    scaled, low, high = number << 64 * power, 0, 1 << 72
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if middle ** power <= scaled else (low, middle)
    return low & _WORD


_WORD = (1 << 64) - 1
_K = [_root_fraction(prime, 3) for prime in _primes(80)]
_SHA384_START = [_root_fraction(prime, 2) for prime in _primes(16)[8:]]


def sha384_state(block):
    """The eight words after one block (FIPS 180-4 section 6.4.2): hashlib does not give them away."""
    def right(word, by):
        return (word >> by | word << 64 - by) & _WORD
    w = list(struct.unpack(">16Q", block))
    for t in range(16, 80):
        s0 = right(w[t - 15], 1) ^ right(w[t - 15], 8) ^ w[t - 15] >> 7
        s1 = right(w[t - 2], 19) ^ right(w[t - 2], 61) ^ w[t - 2] >> 6
        w.append((w[t - 16] + s0 + w[t - 7] + s1) & _WORD)
    a, b, c, d, e, f, g, h = _SHA384_START
    for t in range(80):
        t1 = h + (right(e, 14) ^ right(e, 18) ^ right(e, 41)) + (e & f ^ ~e & g) + _K[t] + w[t]
        t2 = (right(a, 28) ^ right(a, 34) ^ right(a, 39)) + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, h = (t1 + t2) & _WORD, a, b, c, (d + t1) & _WORD, e, f, g
    return [(old + new) & _WORD for old, new in zip(_SHA384_START, (a, b, c, d, e, f, g, h))]


class Form:
    """Bytes to look for. Behind the first `own` of them there is only filling that is in every memory."""

    def __init__(self, name, data, least=LEAST, own=None, whole=None):
        self.name, self.data, self.least = name, data, least
        self.own = len(data) if own is None else own
        self.whole = whole or name  # What it is called where the filling is there as well.

    def anchors(self):
        """(offset, bytes): each run of `least` bytes of this form contains one of them."""
        size = max(8, self.least * 2 // 3)
        step = self.least - size + 1
        last = self.own - size
        return [(at, self.data[at:at + size]) for at in sorted({*range(0, last + 1, step), last})]


def _texts(prefix, data):
    yield Form(prefix + "hex", data.hex().encode(), 2 * LEAST)
    yield Form(prefix + "HEX", data.hex().upper().encode(), 2 * LEAST)
    for shift in range(3):
        # Only the characters that no neighbour has a bit in.
        first, last = -(-8 * shift // 6), 8 * (shift + len(data)) // 6
        padded = bytes(shift) + data + b"\0\0"
        standard = base64.b64encode(padded)[first:last]
        url_safe = base64.urlsafe_b64encode(padded)[first:last]
        yield Form("%sbase64 at %d" % (prefix, shift), standard)
        if url_safe != standard:
            yield Form("%sbase64url at %d" % (prefix, shift), url_safe)


def forms(secret):
    if len(secret) < LEAST or len(set(secret)) < 6:
        raise Unfit("a secret of fewer than %d bytes, or of fewer than 6 different ones, would be found everywhere"
                    % LEAST)
    if len(secret) > MOST:
        raise Unfit("a secret has at most %d bytes" % MOST)
    key = canonical(secret)
    hashed = len(secret) > BLOCK
    own = len(key) if hashed else len(secret)
    found = [Form("raw", secret if hashed else key, own=len(secret), whole="raw" if hashed else "canonical")]
    found += _texts("", secret)
    found.append(Form("utf-16le", secret.decode("latin-1").encode("utf-16le"), 2 * LEAST))
    if hashed:
        found += [Form("canonical", key), *_texts("canonical ", key)]
    for name, pad in (("inner", 0x36), ("outer", 0x5c)):
        block = bytes(byte ^ pad for byte in key.ljust(BLOCK, b"\0"))
        found.append(Form("hmac %s pad, key's part" % name, block, own=own, whole="hmac %s pad" % name))
        # With the two states one signs as well as with the key.
        state = sha384_state(block)
        for order, form in (("<", ""), (">", ", big-endian")):
            found.append(Form("hmac %s state%s" % (name, form), struct.pack(order + "8Q", *state), 32))
    return found


class Found:
    """Bytes `first` to `last` of a form, the first of these at `offset`."""

    def __init__(self, form, offset, first, last):
        whole = first == 0 and last == len(form.data)
        self.kind, self.offset, self.first = form, offset, first
        self.form = form.whole if whole else form.name
        self.of = len(form.data) if whole else form.own
        self.last = min(last, self.of)

    def size(self):
        return self.last - self.first

    def covers(self, other):
        return (self.size() > other.size() and self.offset <= other.offset and
                other.offset + other.size() <= self.offset + self.size())


class Finder:
    """Looks for one secret. Remembers which bytes it has been through: most of a memory is as it was a moment ago."""

    REMEMBERED = 1 << 20

    def __init__(self, secret):
        self.forms = forms(secret)
        self.anchors = [(form, at, data) for form in self.forms for at, data in form.anchors()]
        self.longest = max(len(form.data) for form in self.forms)
        self._clean = set()

    def search(self, data):
        """Every Found in these bytes, offsets relative to them."""
        digest = hashlib.blake2b(data, digest_size=16).digest()
        if digest in self._clean:
            return []
        found = {}
        for form, at, anchor in self.anchors:
            here = data.find(anchor)
            while here >= 0:
                if (form, here - at) not in found:
                    found[form, here - at] = self._extent(form, data, here - at, at, at + len(anchor))
                here = data.find(anchor, here + 1)
        hits = [Found(form, start + first, first, last) for (form, start), (first, last) in found.items()
                if min(last, form.own) - first >= form.least]
        if not hits and len(self._clean) < self.REMEMBERED:
            self._clean.add(digest)
        return hits

    @staticmethod
    def _extent(form, data, start, first, last):
        while first > 0 and start + first > 0 and data[start + first - 1] == form.data[first - 1]:
            first -= 1
        while last < len(form.data) and start + last < len(data) and data[start + last] == form.data[last]:
            last += 1
        return first, last

    def holds(self, text):
        return bool(self.search(text.encode("utf-8", "surrogateescape")))


class Stream:
    """Bytes that come in pieces: what begins in one and ends in the next is found too."""

    def __init__(self, finder):
        self.finder, self.bytes = finder, 0
        self._found, self._rest, self._next = {}, b"", None

    def feed(self, offset, piece):
        if offset != self._next:
            self._rest = b""
        window = self._rest + piece
        base = offset - len(self._rest)
        for found in self.finder.search(window):
            found.offset += base
            # Seen in two windows, it is longer in one of them.
            key = (found.kind, found.offset - found.first)
            if key not in self._found or self._found[key].size() < found.size():
                self._found[key] = found
        self._rest = window[-self.finder.longest:]
        self._next = offset + len(piece)
        self.bytes += len(piece)

    def found(self):
        """In order of place. What lies in a longer one is left out: base64 in two alphabets shares much."""
        hits = list(self._found.values())
        return sorted((hit for hit in hits if not any(other.covers(hit) for other in hits)), key=lambda hit: hit.offset)

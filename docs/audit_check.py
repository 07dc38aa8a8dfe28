#!/usr/bin/env python3
"""Checks what hsm-signer's audit log proves, sharing no code with it: python3 and openssl(1) are enough.

usage: audit_check.py log DIR audit.pub.pem [ANCHOR]    the log, every checkpoint in it, every one that was kept elsewhere
       audit_check.py proof FILE audit.pub.pem          one record (hsm-signerctl audit prove)
       audit_check.py growth FILE OLD audit.pub.pem     from a kept checkpoint on (hsm-signerctl audit consistency -o)

Forms: docs/audit.md. Tree and proofs: RFC 9162, section 2.1. Exit status 1 where anything does not hold.
"""
import base64
import functools
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile


class Wrong(Exception):
    """What does not hold."""


def sha(data):
    return hashlib.sha256(data).digest()


def leaf_of(line):
    return sha(b"\x00" + line)


def node(left, right):
    return sha(b"\x01" + left + right)


def split(size):
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def root(hashes):
    """Section 2.1.1, as it is written."""
    if len(hashes) < 2:
        return hashes[0] if hashes else sha(b"")
    middle = split(len(hashes))
    return node(root(hashes[:middle]), root(hashes[middle:]))


class Leaves:
    """Those of a log, of whose first `gone` only the roots of whole subtrees are there, largest first."""

    def __init__(self, leaves, gone=0, peaks=()):
        self.leaves, self.gone, self.size = leaves, gone, gone + len(leaves)
        self.whole, begin = {}, 0
        for peak, bit in zip(peaks, [1 << n for n in reversed(range(64)) if gone >> n & 1], strict=True):
            self.whole[begin, begin + bit] = peak
            begin += bit

    def root(self, size, begin=0):
        """Over leaves `begin` to `size`: section 2.1.1 down to what is there."""
        if size == begin == 0:
            return sha(b"")
        if (begin, size) in self.whole:
            return self.whole[begin, size]
        if begin >= self.gone:
            return root(self.leaves[begin - self.gone:size - self.gone])
        middle = begin + split(size - begin)
        return node(self.root(middle, begin), self.root(size, middle))


def root_by_path(leaf, index, size, path):
    """Where a path (section 2.1.3.1) leads, from the definition: its last hash is the other half of the whole."""
    if size == 1:
        if path or index != 0:
            raise Wrong("a path that does not fit its place")
        return leaf
    if not path:
        raise Wrong("a path that is too short")
    middle = split(size)
    if index < middle:
        return node(root_by_path(leaf, index, middle, path[:-1]), path[-1])
    return node(path[-1], root_by_path(leaf, index - middle, size - middle, path[:-1]))


def roots_by_growth(old, size, path, old_root, whole=True):
    """The roots over the first `old` and over all of `size` leaves that a proof (section 2.1.4.1) leads to."""
    if old == size:
        if whole and path or not whole and len(path) != 1:
            raise Wrong("a proof that does not fit its sizes")
        hashed = old_root if whole else path[0]
        return hashed, hashed
    if not path:
        raise Wrong("a proof that is too short")
    middle, last = split(size), path[-1]
    if old <= middle:
        first, second = roots_by_growth(old, middle, path[:-1], old_root, whole)
        return first, node(second, last)
    first, second = roots_by_growth(old - middle, size - middle, path[:-1], old_root, False)
    return node(last, first), node(last, second)


def openssl(*arguments):
    run = subprocess.run(["openssl", *arguments], capture_output=True, check=False)
    if run.returncode != 0:
        raise Wrong("openssl " + arguments[0] + " refuses")
    return run.stdout


@functools.lru_cache(maxsize=None)
def key_id(key):
    return sha(openssl("pkey", "-pubin", "-in", key, "-outform", "DER"))[:4]


@functools.lru_cache(maxsize=None)
def open_note(note, key):
    """Origin, size and root of a signed checkpoint (bytes), once its signature is verified."""
    text, blank, seal = note.rpartition(b"\n\n")
    text += b"\n"
    if not blank or not seal.endswith(b"\n"):
        raise Wrong("no signed note")
    lines = text.decode().split("\n")
    if len(lines) != 4 or lines[1] != str(int(lines[1])):
        raise Wrong("no checkpoint")
    dash, name, blob = seal.decode()[:-1].split(" ")
    signature = base64.b64decode(blob, validate=True)
    if base64.b64encode(signature).decode() != blob:
        raise Wrong("base64 in another spelling")
    if (dash, name, signature[:4]) != ("\u2014", lines[0], key_id(key)):
        raise Wrong("another key")
    verify(text, signature[4:], key)
    return lines[0], int(lines[1]), hash_of(lines[2])


def hash_of(text):
    hashed = base64.b64decode(text, validate=True)
    if len(hashed) != 32 or base64.b64encode(hashed).decode() != text:
        raise Wrong("a hash that is none")
    return hashed


def numbered(directory, prefix, suffix):
    """Files of such a name by their numbers, ascending."""
    found = {}
    for path in pathlib.Path(directory).glob(f"{prefix}*{suffix}"):
        number = int(path.name[len(prefix):-len(suffix)])
        if number < 1 or path.name != f"{prefix}{number:06}{suffix}":
            raise Wrong("a file that is named almost like a segment")
        found[number] = path
    return dict(sorted(found.items()))


def first_of(segments, retired):
    """The number of the segment with which reading begins."""
    last = max(segments, default=0)
    starts = [1] if 1 in segments else [number + 1 for number in retired]
    for first in starts:
        if first <= last and all(number in segments for number in range(first, last + 1)):
            return first
    raise Wrong("a segment is missing")


class Retired:
    """What a log goes on from: nothing, or what is kept of records that were let go (docs/audit.md)."""

    def __init__(self, path=None):
        self.records, self.tree, self.workers, self.nonces, self.sha256, self.path = 0, [], [], [], None, path
        if path is None:
            return
        text = path.read_bytes()
        state = json.loads(text)
        self.records, self.workers, self.nonces = state["records"], state["workers"], state["nonces"]
        self.tree = [bytes.fromhex(peak) for peak in state["tree"]]
        self.sha256 = sha(text).hex()
        if state["v"] != 1 or path.name != f"audit-retired-{state['kept_from'] - 1:06}.json":
            raise Wrong(f"{path.name} is not what it is named")
        if len(self.tree) != bin(self.records).count("1") or any(len(peak) != 32 for peak in self.tree):
            raise Wrong(f"{path.name} has no tree of its records")


def lines_of(directory):
    """What the log goes on from, and the lines of all segments behind that, in order; an unfinished one at the very
    end is left out."""
    segments, retired = numbered(directory, "audit-", ".jsonl"), numbered(directory, "audit-retired-", ".json")
    first = first_of(segments, retired)
    segments = [path for number, path in segments.items() if number >= first]
    lines = []
    for path in segments:
        *whole, rest = path.read_bytes().split(b"\n")
        if rest and path != segments[-1]:
            raise Wrong(f"{path.name} ends inside a line")
        lines += whole
    return Retired(retired[first - 1] if first > 1 else None), lines


class Worker:
    """What the records of one worker come to (docs/audit.md, "usage")."""

    def __init__(self, last=0, recorded=0, digest=bytes(32)):
        self.last, self.recorded = last, recorded
        self.digest = digest  # None behind a gap: nobody knows what was signed there.

    def count(self, first, last):
        if first != self.last + 1:
            raise Wrong(f"MACs {self.last + 1} to {first} of a worker are not told one by one")
        self.last = last

    def allow(self, record):
        number = record["worker_counter"]
        self.count(number, number)
        self.recorded = number
        if self.digest is not None:
            label = f"{record['key']}.v{record['version']}".encode()
            self.digest = sha(self.digest + number.to_bytes(8, "little") + bytes.fromhex(record["payload_sha256"]) + label)

    def gap(self, record):
        self.count(record["from"], record["to"])
        self.digest = None

    def says(self, count, digest):
        if not self.recorded <= count <= self.last:
            raise Wrong(f"a worker made {count} MACs, its records say {self.recorded}")
        if self.digest is not None and digest != self.digest:
            raise Wrong("a worker signed something else than its records say")
        self.recorded = count
        self.digest = digest if count == self.last else None


def verify(text, signature, key):
    with tempfile.TemporaryDirectory() as scratch:
        where = pathlib.Path(scratch)
        (where / "text").write_bytes(text)
        (where / "sig").write_bytes(signature)
        openssl("dgst", "-sha256", "-verify", key, "-signature", str(where / "sig"), str(where / "text"))


def check_workers(retired, records, key):
    """That records and gaps tell each MAC of each worker once, and that the workers say the same."""
    workers = {one["worker"]: Worker(one["last"], one["recorded"], bytes.fromhex(one["digest"]) or None)
               for one in retired.workers}
    own = sha(openssl("pkey", "-pubin", "-in", key, "-outform", "DER")).hex()
    for record in records:
        worker = workers.setdefault(record.get("worker"), Worker())
        if record["kind"] == "sign" and record["verdict"] == "allow":
            worker.allow(record)
        elif record["kind"] == "gap":
            worker.gap(record)
        elif record["kind"] == "usage" and record["audit_key"] == own:
            lines = ("hsm-signer usage v1", record["token"], int(record["worker"], 16), record["worker_counter"],
                     record["digest"])
            verify("".join(f"{line}\n" for line in lines).encode(), base64.b64decode(record["signature"]), key)
            worker.says(record["worker_counter"], bytes.fromhex(record["digest"]))


def in_billionths(nonce):
    whole, _, fraction = nonce.partition(".")
    return int(whole) * 10**9 + int(fraction.ljust(9, "0"))


def check_nonces(retired, records):
    """That those of each API key rise."""
    marks = {one["api_key_id"]: in_billionths(one["nonce"]) for one in retired.nonces}
    for record in records:
        if record["kind"] != "sign" or record["verdict"] != "allow":
            continue
        nonce, before = in_billionths(record["nonce"]), marks.get(record["api_key_id"])
        if before is not None and nonce <= before:
            raise Wrong(f"the nonce of record {record['seq']} does not rise")
        marks[record["api_key_id"]] = nonce


def check_beginning(retired, records, sealed):
    """That a record under a checkpoint says why the log does not begin with its first; in words."""
    if retired.path is None:
        return ""
    for record in records:
        if record["kind"] == "admin" and record["action"] == "retention" and record["text_sha256"] == retired.sha256:
            if record["seq"] > sealed:
                break
            return (f", records 1 to {retired.records} were let go on {record['time']} by "
                    f"{record['officers'] or 'uid ' + str(record['uid'])} (retention record {record['seq']})")
    raise Wrong("segments are missing and no officers' retention explains it")


def notes_of(path):
    """Each signed note of a file, and the line where it begins."""
    parts = pathlib.Path(path).read_bytes().split(b"\n\n")
    if len(parts) < 2:
        raise Wrong(f"{path}: no checkpoint: nothing is proven")
    if len(parts) % 2 == 0 or parts[-1]:
        raise Wrong(f"{path}: an unfinished note")
    line = 1
    for text, seal in zip(parts[0:-1:2], parts[1::2]):
        note = text + b"\n\n" + seal + b"\n"
        yield line, note
        line += note.count(b"\n") + 1


def check_notes(path, key, leaves, why):
    """Over how many leaves the last note is, once every one verifies and the leaves hold it."""
    last = 0
    for line, note in notes_of(path):
        try:
            _, size, want = open_note(note, key)
        except (Wrong, ValueError) as error:
            raise Wrong(f"{path}:{line}: {error}") from error
        if size < last:
            raise Wrong(f"{path}:{line}: {size} records after {last}")
        last = size
        if size < leaves.gone:
            continue  # Over records that were let go: there is nothing to compare it with.
        if size > leaves.size:
            raise Wrong(f"{path}:{line}: the log was cut{why(size)}: it has {leaves.size} records")
        if leaves.root(size) != want:
            raise Wrong(f"{path}:{line}: the log was changed{why(size)}")
    if last < leaves.gone:
        raise Wrong(f"{path}: every checkpoint is over records that were let go")
    return last


def check_log(directory, key, anchor=None):
    retired, lines = lines_of(directory)
    records = [json.loads(line) for line in lines]
    for number, record in enumerate(records, retired.records + 1):
        if record["seq"] != number:
            raise Wrong(f"line {number} has another sequence")
    check_workers(retired, records, key)
    check_nonces(retired, records)
    leaves = Leaves([leaf_of(line) for line in lines], retired.records, retired.tree)
    sealed = check_notes(pathlib.Path(directory) / "checkpoints", key, leaves, lambda size: f" among its first {size} records")
    said = f"{sealed} records sealed, {leaves.size - sealed} after the last checkpoint"
    said += check_beginning(retired, records, sealed)
    if anchor is None:
        return said
    anchored = check_notes(anchor, key, leaves, lambda size: f" since it was anchored at {size}")
    if anchored > sealed:
        raise Wrong(f"{anchor}: the log's checkpoints were cut since it was anchored at {anchored}")
    return f"{said}, {anchored} anchored"


def take_path(head, text):
    """The hashes of a proof's first part, behind its head lines."""
    *hashes, last = text[len(head):].split("\n")
    if not text.startswith(head) or last:
        raise Wrong("no proof")
    return [hash_of(line) for line in hashes]


def split_proof(data):
    head, blank, note = data.partition(b"\n\n")
    if not blank:
        raise Wrong("no proof")
    return head.decode() + "\n", note


def check_proof(data, key):
    """The line that a C2SP tlog-proof with its record proves."""
    head, note = split_proof(data)
    first, extra, index, *_ = head.split("\n")
    number = int(index.removeprefix("index "))
    if first != "c2sp.org/tlog-proof@v1" or not extra.startswith("extra ") or index != f"index {number}":
        raise Wrong("no proof")
    line = base64.b64decode(extra[6:], validate=True)
    if base64.b64encode(line).decode() != extra[6:]:
        raise Wrong("base64 in another spelling")
    path = take_path(f"{first}\n{extra}\n{index}\n", head)
    _, size, want = open_note(note, key)
    if not 0 <= number < size or root_by_path(leaf_of(line), number, size, path) != want:
        raise Wrong("the record is not under this checkpoint")
    if json.loads(line)["seq"] != number + 1:
        raise Wrong("the record says another sequence")
    return line


def check_growth(data, old_note, key):
    head, note = split_proof(data)
    origin, old, old_root = open_note(old_note, key)
    now_origin, size, want = open_note(note, key)
    path = take_path(f"old {old}\n", head)
    if origin != now_origin or old > size:
        raise Wrong("a proof between other checkpoints")
    if old == 0:
        if path or old_root != sha(b""):
            raise Wrong("no proof")
    elif roots_by_growth(old, size, path, old_root) != (old_root, want):
        raise Wrong("the log does not begin as the kept checkpoint says")
    return f"the first {old} of {size} records are as they were"


def main(arguments):
    match arguments:
        case ["log", directory, key]:
            return check_log(directory, key)
        case ["log", directory, key, anchor]:
            return check_log(directory, key, anchor)
        case ["proof", file, key]:
            return check_proof(pathlib.Path(file).read_bytes(), key).decode()
        case ["growth", file, old, key]:
            old_note = pathlib.Path(old).read_bytes().rstrip(b"\n") + b"\n"
            return check_growth(pathlib.Path(file).read_bytes(), old_note, key)
    sys.exit(__doc__)


if __name__ == "__main__":
    try:
        print(main(sys.argv[1:]))
    except (Wrong, ValueError, KeyError, OSError) as error:
        sys.exit(f"does not hold: {error}")

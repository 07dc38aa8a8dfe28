#!/usr/bin/env python3
"""hsm-signerctl's proofs against docs/audit_check.py: logs, inclusions and consistencies of many sizes, every index,
made by each and checked by the other.

The logs are made here, line by line, and sealed by openssl(1), so no code of ours wrote what ours reads.
"""
import base64
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from audited import TOP, Signer, check

CTL = pathlib.Path(os.environ.get("HSM_SIGNER_BIN", TOP / "build/release/bin")) / "hsm-signerctl"
SIZES = (1, 2, 3, 4, 7, 8, 9, 64, 100)


def line_of(seq):
    return (f'{{"v":1,"seq":{seq},"time":"2026-03-01T10:00:00.{seq:06}Z","kind":"stop","instance":"by-hand",'
            f'"reason":"number {seq}"}}').encode()


def naive_path(index, leaves):
    """PATH of RFC 9162 section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    middle = check.split(len(leaves))
    if index < middle:
        return naive_path(index, leaves[:middle]) + [check.root(leaves[middle:])]
    return naive_path(index - middle, leaves[middle:]) + [check.root(leaves[:middle])]


def naive_growth(old, leaves, whole=True):
    """SUBPROOF of section 2.1.4.1."""
    if old == len(leaves):
        return [] if whole else [check.root(leaves)]
    middle = check.split(len(leaves))
    if old <= middle:
        return naive_growth(old, leaves[:middle], whole) + [check.root(leaves[middle:])]
    return naive_growth(old - middle, leaves[middle:], False) + [check.root(leaves[:middle])]


def hashes(path):
    return "".join(base64.b64encode(one).decode() + "\n" for one in path)


class Proofs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory(prefix="hsm-audit-")
        cls.addClassCleanup(cls.scratch.cleanup)
        cls.top = pathlib.Path(cls.scratch.name)
        cls.signer = Signer(cls.top)
        cls.lines = [line_of(seq) for seq in range(1, max(SIZES) + 1)]
        cls.leaves = [check.leaf_of(line) for line in cls.lines]
        cls.notes = {size: cls.signer.note(size, check.root(cls.leaves[:size])) for size in SIZES}

    def log(self, size):
        """A log of `size` records in segments of 30, a checkpoint over each of SIZES up to it."""
        where = self.top / f"log-{size}"
        if where.exists():
            return where
        where.mkdir()
        for number, first in enumerate(range(0, size, 30), 1):
            text = b"".join(line + b"\n" for line in self.lines[first:min(first + 30, size)])
            (where / f"audit-{number:06}.jsonl").write_bytes(text)
        (where / "checkpoints").write_bytes(b"".join(self.notes[n] + b"\n" for n in SIZES if n <= size))
        return where

    def ctl(self, *arguments):
        return subprocess.run([str(CTL), "audit", *map(str, arguments)], capture_output=True, check=False)

    def answer(self, *arguments):
        ran = self.ctl(*arguments, "--json")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return json.loads(ran.stdout)

    def file(self, name, data):
        path = self.top / name
        path.write_bytes(data)
        return path

    def test_both_read_the_same_log(self):
        for size in SIZES:
            said = check.check_log(self.log(size), self.signer.public)
            self.assertEqual(said, f"{size} records sealed, 0 after the last checkpoint")

    def test_what_ctl_proves_holds_for_the_other_program(self):
        for size in SIZES:
            for index in range(size):
                proof = self.answer("prove", self.log(size), "--seq", index + 1)["proof"].encode()
                self.assertEqual(check.check_proof(proof, self.signer.public), self.lines[index])

    def test_what_the_standard_defines_holds_for_ctl(self):
        for size in SIZES:
            for index in range(size):
                extra = base64.b64encode(self.lines[index]).decode()
                path = naive_path(index, self.leaves[:size])
                text = f"c2sp.org/tlog-proof@v1\nextra {extra}\nindex {index}\n{hashes(path)}\n".encode()
                file = self.file("proof", text + self.notes[size])
                answer = self.answer("check-proof", file, "--key", self.signer.public)
                self.assertEqual((answer["seq"], answer["size"]), (index + 1, size))

    def test_growth_agrees_from_every_size_to_each(self):
        for size in SIZES:
            for old in range(size + 1):
                answer = self.answer("consistency", self.log(size), "--from", old)
                path = [bytes.fromhex(one) for one in answer["path"]]
                self.assertEqual(path, naive_growth(old, self.leaves[:size]) if old else [])
                self.assertEqual(answer["from_root"], check.root(self.leaves[:old]).hex())
                self.assertEqual(answer["to_root"], check.root(self.leaves[:size]).hex())
                if old:
                    roots = check.roots_by_growth(old, size, path, bytes.fromhex(answer["from_root"]))
                    self.assertEqual([one.hex() for one in roots], [answer["from_root"], answer["to_root"]])

    def test_growth_travels_between_the_two(self):
        for size in SIZES:
            for old in (n for n in SIZES if n <= size):
                kept, out = self.file("kept", self.notes[old]), self.top / "growth"
                self.answer("consistency", self.log(size), "--checkpoint", kept, "-o", out)
                check.check_growth(out.read_bytes(), self.notes[old], self.signer.public)
                path = hashes(naive_growth(old, self.leaves[:size]))
                text = f"old {old}\n{path}\n".encode() + self.notes[size]
                self.assertEqual(out.read_bytes(), text)
                self.answer("check-proof", self.file("growth", text), "--key", self.signer.public, "--checkpoint", kept)

    def test_both_refuse_what_was_changed(self):
        """One bit in every byte of a proof, by both; the log, the kept checkpoint, the key."""
        proof = self.answer("prove", self.log(9), "--seq", 5)["proof"].encode()
        for at in range(len(proof)):
            changed = bytearray(proof)
            changed[at] ^= 1 << at % 8
            with self.assertRaises((check.Wrong, ValueError, KeyError), msg=at):
                check.check_proof(bytes(changed), self.signer.public)
            if at % 7 == 0:
                ran = self.ctl("check-proof", self.file("changed", bytes(changed)), "--key", self.signer.public)
                self.assertEqual(ran.returncode, 4, at)
        other = self.top / "other"
        other.mkdir()
        stranger = Signer(other)
        with self.assertRaises(check.Wrong):
            check.check_proof(proof, stranger.public)
        self.assertEqual(self.ctl("check-proof", self.file("p", proof), "--key", stranger.public).returncode, 4)

    def test_both_refuse_a_log_that_was_changed_or_cut(self):
        for what in ("changed", "cut"):
            where = self.top / f"log-{what}"
            where.mkdir()
            lines = self.lines[:64]
            if what == "changed":
                lines[10] = lines[10].replace(b"number", b"Number")
            (where / "audit-000001.jsonl").write_bytes(b"\n".join(lines[:20 if what == "cut" else 64]) + b"\n")
            (where / "checkpoints").write_bytes(self.notes[9] + b"\n" + self.notes[64] + b"\n")
            with self.assertRaises(check.Wrong):
                check.check_log(where, self.signer.public)
            self.assertEqual(self.ctl("prove", where, "--seq", 3).returncode, 4)
            kept = self.file("kept", self.notes[64])
            self.assertEqual(self.ctl("consistency", where, "--checkpoint", kept).returncode, 4)


if __name__ == "__main__":
    unittest.main()

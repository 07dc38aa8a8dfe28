"""Processes that hold a secret where and how a test wants it, and nowhere else."""

import mmap
import os
import random
import shutil
import string
import subprocess
import sys
import tempfile
import unittest

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools")
sys.path.insert(0, TOOLS)
import process_memory  # noqa: E402
import secret_forms  # noqa: E402

# Makes the bytes out of two halves, each of which is noise, one byte after the other and in one place: so this program
# holds them there and nowhere else. Then it does what it is told, line by line.
HOLDER = r"""
import ctypes, mmap, os, sys
PAGE = mmap.PAGESIZE
size, at, pages, flags = (int(number) for number in sys.stdin.buffer.readline().split())
area = mmap.mmap(-1, pages * PAGE, mmap.MAP_ANONYMOUS | flags)
halves = sys.stdin.buffer.read(2 * size)
for i in range(size):
    area[at + i] = halves[i] ^ halves[size + i]
address = ctypes.addressof(ctypes.c_char.from_buffer(area))
print(address, flush=True)
for line in sys.stdin:
    word, *numbers = line.split()
    if word == "protect":
        ctypes.CDLL(None).mprotect(ctypes.c_void_p(address + int(numbers[0])), ctypes.c_size_t(PAGE), int(numbers[1]))
    if word == "unmap":
        ctypes.CDLL(None).munmap(ctypes.c_void_p(address), ctypes.c_size_t(pages * PAGE))
    if word == "nameless":
        file = os.memfd_create("x")
        for i in range(size):
            os.write(file, bytes([area[at + i]]))
            area[at + i] = 0
    print("done", flush=True)
"""
CHURN = """
import mmap
print("ready", flush=True)
while True:
    areas = [mmap.mmap(-1, 65536) for _ in range(20)]
    for area in areas:
        area[5] = 1
        area.close()
"""


def random_secret(size=28, also=""):
    """`also`: characters that are in it besides."""
    letters = random.SystemRandom().choices(string.ascii_letters + string.digits, k=size - len(also))
    return ("".join(letters[:5]) + also + "".join(letters[5:])).encode()


class Holder:
    def __init__(self, data, at=100, pages=2, flags=mmap.MAP_PRIVATE, held=True):
        key = os.urandom(len(data))
        other = bytes(a ^ b for a, b in zip(data, key)) if held else os.urandom(len(data))
        self.process = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env={"PATH": os.environ["PATH"]})
        self.process.stdin.write(b"%d %d %d %d\n" % (len(data), at, pages, flags) + key + other)
        self.process.stdin.flush()
        self.address = int(self.process.stdout.readline())
        self.pid = self.process.pid

    def tell(self, *words):
        self.process.stdin.write((" ".join(map(str, words)) + "\n").encode())
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"done\n"

    def end(self):
        self.process.kill()
        self.process.communicate()


class HoldingCase(unittest.TestCase):
    # One for all: the libraries of the processes looked at are the same.
    secret = random_secret()
    finder = secret_forms.Finder(secret)

    def holder(self, data, **more):
        holder = Holder(data, **more)
        self.addCleanup(holder.end)
        return holder

    def folder(self):
        path = tempfile.mkdtemp(prefix="hsm-scan-", dir="/tmp")
        self.addCleanup(shutil.rmtree, path, True)
        os.chmod(path, 0o755)
        return path

    def write(self, data, name="file"):
        path = os.path.join(self.folder(), name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def assert_held(self, data, form, finder=None, **more):
        """A process that holds these bytes is found out, and by this form alone."""
        holder = self.holder(data, **more)
        report = process_memory.scan_process(finder or self.finder, holder.pid)
        self.assertEqual([hit["form"] for hit in report.hits], [form], report)
        self.assertTrue(report.complete(), report)
        return report.hits[0], holder

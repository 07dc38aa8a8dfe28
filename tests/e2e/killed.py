"""A process that syscall_killer.py kills at its N-th system call."""

import json
import os
import select
import signal
import subprocess

from harness import die_with_parent


class Killed:
    """What syscall_killer.py says of one run."""

    def __init__(self, nth, *what, stdin=b""):
        killer = os.path.join(os.path.dirname(os.path.abspath(__file__)), "syscall_killer.py")
        self.pid = None
        self.process = subprocess.Popen(["python3", killer, str(nth), *map(str, what)], stdin=subprocess.PIPE, bufsize=0,
                                        stdout=subprocess.PIPE, preexec_fn=die_with_parent)
        try:
            self.process.stdin.write(stdin)
            self.process.stdin.close()
            self.process.stdin = None  # Or communicate() would write to it.
            assert select.select([self.process.stdout], [], [], 20)[0], "the tracer is not ready in 20 s"
            assert self.process.stdout.readline() == b"ready\n", "the tracer cannot trace"
        except BaseException:
            self.kill()
            raise

    def kill(self):
        self.process.kill()
        self.process.communicate(timeout=10)

    def result(self, end):
        """(calls seen, number of the call not made or None). `end`: the process goes on, so the tracer is told to."""
        if end and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            printed, _ = self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        told = json.loads(printed.splitlines()[-1])
        self.pid = told["pid"]
        return told["seen"], told["killed"]

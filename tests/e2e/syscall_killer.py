#!/usr/bin/env python3
"""Kills a process with SIGKILL at its N-th system call, before the call is made.

    syscall_killer.py N PID                          from now on, all threads counted together
    syscall_killer.py N --from=socket PROGRAM ARG…   from its first call of this name

Says "ready" when it counts (of a program: at once). Ends when the process does, or at SIGTERM, and says as one line
of JSON how many calls it saw and whether the N-th came. strace can inject a signal too, but counts each kind of call of
each thread on its own, so its N-th says nothing about what came before."""

import ctypes
import json
import os
import platform
import signal
import sys

SEIZE, INTERRUPT, SYSCALL, GET_SYSCALL_INFO, TRACEME, SETOPTIONS = 0x4206, 0x4207, 24, 0x420E, 0, 0x4200
TRACE_SYSGOOD, TRACE_CLONE, TRACE_EXEC, EXITKILL = 1, 1 << 3, 1 << 4, 1 << 20
OPTIONS = TRACE_SYSGOOD | TRACE_CLONE | TRACE_EXEC
WALL = 0x40000000
ENTRY = 1
NUMBERS = {"x86_64": {"socket": 41, "mkdir": 83}, "aarch64": {"socket": 198, "mkdir": 34}}  # arm64: mkdirat.

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


class SyscallInfo(ctypes.Structure):
    """struct ptrace_syscall_info of linux/ptrace.h, as far as an entry needs it."""
    _fields_ = [("op", ctypes.c_uint8), ("pad", ctypes.c_uint8 * 3), ("arch", ctypes.c_uint32),
                ("ip", ctypes.c_uint64), ("sp", ctypes.c_uint64), ("number", ctypes.c_uint64),
                ("arguments", ctypes.c_uint64 * 6), ("rest", ctypes.c_uint64)]


class Ended(Exception):
    """SIGTERM: the operation is over."""


def ptrace(request, tid, address=0, data=0):
    """False when the thread is gone: it may end at any moment."""
    if libc.ptrace(request, tid, address, data) >= 0:
        return True
    error = ctypes.get_errno()
    if error == 3:  # ESRCH
        return False
    raise OSError(error, "ptrace request %#x: %s" % (request, os.strerror(error)))


def entered(tid):
    """The number of the call that this thread is about to make; None at the end of one."""
    info = SyscallInfo()
    if not ptrace(GET_SYSCALL_INFO, tid, ctypes.sizeof(info), ctypes.addressof(info)) or info.op != ENTRY:
        return None
    return info.number


def attach(pid):
    seized = set()
    while True:  # A thread that is born meanwhile is seen in the next round.
        new = {int(tid) for tid in os.listdir("/proc/%d/task" % pid)} - seized
        if not new:
            return
        for tid in new:
            if ptrace(SEIZE, tid, 0, OPTIONS):
                ptrace(INTERRUPT, tid)
            seized.add(tid)


def launch(command):
    pid = os.fork()
    if pid == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)  # Ours is for the one line that the test waits for.
        os.dup2(null, 2)
        libc.ptrace(TRACEME, 0, 0, 0)
        os.execv(command[0], command)
    os.waitpid(pid, WALL)
    ptrace(SETOPTIONS, pid, 0, OPTIONS | EXITKILL)  # It is this tracer's own.
    ptrace(SYSCALL, pid)
    return pid


class Count:
    def __init__(self, pid, nth, marker=None):
        self.pid, self.nth, self.marker = pid, nth, marker
        self.seen = 0
        self.killed = None  # The number of the call that was not made.
        self.waiting = self.over = False

    def end(self, *_):
        """SIGTERM. A kill and what is said of it are not torn apart, nor is the last word."""
        self.over = True
        if self.waiting:
            self.waiting = False
            raise Ended()

    def wait(self):
        self.waiting = True
        if self.over:
            raise Ended()
        came = os.waitpid(-1, WALL)
        self.waiting = False
        return came

    def entry(self, number):
        if self.marker is not None and number != self.marker:
            return
        self.marker = None
        self.seen += 1
        if self.seen == self.nth and self.killed is None:
            self.killed = number
            os.kill(self.pid, signal.SIGKILL)

    def stopped(self, tid, status):
        if not os.WIFSTOPPED(status):
            return
        number, passed_on = os.WSTOPSIG(status), 0
        if number == signal.SIGTRAP | 0x80:
            call = entered(tid)
            if call is not None:
                self.entry(call)
        elif status >> 16 == 0 and number not in (signal.SIGTRAP, signal.SIGSTOP):
            passed_on = number
        ptrace(SYSCALL, tid, 0, passed_on)

    def run(self):
        """The exit status of the process, negative for a signal; None where it goes on without us."""
        while True:
            try:
                tid, status = self.wait()
            except (ChildProcessError, Ended):
                self.waiting = False
                return None
            if tid == self.pid and (os.WIFEXITED(status) or os.WIFSIGNALED(status)):
                return os.waitstatus_to_exitcode(status)
            self.stopped(tid, status)


def main():
    nth, rest = int(sys.argv[1]), sys.argv[2:]
    marker = None
    if rest[0].startswith("--from="):
        marker = NUMBERS[platform.machine()][rest.pop(0)[len("--from="):]]
        pid = launch(rest)
    else:
        pid = int(rest[0])
        attach(pid)
    count = Count(pid, nth, marker)
    signal.signal(signal.SIGTERM, count.end)
    print("ready", flush=True)
    status = count.run()
    print(json.dumps({"pid": pid, "seen": count.seen, "killed": count.killed, "status": status}), flush=True)


main()

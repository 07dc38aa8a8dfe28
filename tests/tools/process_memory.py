"""Searches the memory of a process that runs."""

import array
import bisect
import errno
import os
import resource
import stat

from scan_report import PIECE, CannotLook, Report, feed_file, shown
from secret_forms import Stream

PAGE = resource.getpagesize()
# Pages that the kernel lends to every process and keeps from everybody's reading.
KERNELS = ("[vvar]", "[vvar_vclock]", "[vsyscall]")
# More address space than this in one piece is a sanitizer's bookkeeping, of which the page map alone has gigabytes.
LARGEST = 64 << 30
ATTEMPTS = 5  # At a region that is unmapped and mapped again all the time.


class Region:
    def __init__(self, line):
        fields = line.rstrip("\n").split(maxsplit=5)
        self.start, self.end = (int(address, 16) for address in fields[0].split("-"))
        self.name = fields[5] if len(fields) > 5 else "(anonymous)"
        self.span = fields[0]
        special = self.name.startswith("[") and not self.name.startswith(("[heap]", "[stack", "[anon"))
        self.anonymous = fields[4] == "0" and not special

    def __str__(self):
        return "%s %s" % (self.span, self.name)


class Process:
    """Files of /proc/PID through one descriptor, which never comes to mean a later process of the same number."""

    def __init__(self, pid):
        if pid == os.getpid():
            raise CannotLook("process %d is this program, which holds what it looks for" % pid)
        try:
            self.folder = os.open("/proc/%d" % pid, os.O_RDONLY | os.O_DIRECTORY)
            self.memory = self.open("mem")
        except OSError as error:
            raise CannotLook("process %d: %s" % (pid, error.strerror)) from None
        try:
            self.pages = self.open("pagemap")
        except OSError:
            self.pages = None  # Then all is read, and what the process never touched is zeros.

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for descriptor in (self.memory, self.pages, self.folder):
            if descriptor is not None:
                os.close(descriptor)

    def open(self, name):
        return os.open(name, os.O_RDONLY, dir_fd=self.folder)

    def text(self, name):
        with open(self.open(name), encoding="utf-8", errors="surrogateescape") as lines:
            return lines.read()

    def regions(self):
        """None that cannot be read by itself is left out: /proc/PID/mem reads them all the same."""
        try:
            return [Region(line) for line in self.text("maps").splitlines()]
        except OSError:
            return []  # It has ended.

    def maps(self, region):
        """A part of it, still."""
        return any(other.start < region.end and region.start < other.end for other in self.regions())

    def present(self, region):
        """(first, last, swapped pages) of runs that are more than zeros which nobody ever wrote."""
        if self.pages is None or not region.anonymous:
            return [(region.start, region.end, 0)]
        count = (region.end - region.start) // PAGE
        entries = array.array("Q", os.pread(self.pages, 8 * count, region.start // PAGE * 8))
        if len(entries) < count:
            raise OSError(errno.ESRCH, "it has ended")
        runs = []
        for number, entry in enumerate(entries):
            if not entry >> 62:  # Neither present nor swapped (proc(5), pagemap).
                continue
            at, swapped = region.start + number * PAGE, entry >> 62 & 1
            if runs and runs[-1][1] == at:
                runs[-1] = (runs[-1][0], at + PAGE, runs[-1][2] + swapped)
            else:
                runs.append((at, at + PAGE, swapped))
        return runs

    def read(self, stream, first, last):
        while first < last:
            data = os.pread(self.memory, min(PIECE, last - first), first)
            if not data:
                raise OSError(errno.ESRCH, "it has ended")
            stream.feed(first, data)
            first += len(data)


def read_region(process, region, stream, report):
    if region.end - region.start > LARGEST:
        raise OSError(errno.EFBIG, "%d GiB of addresses" % ((region.end - region.start) >> 30))
    runs = process.present(region)
    if not runs and not process.maps(region):
        raise OSError(errno.EFAULT, "no longer there")
    for first, last, swapped in runs:
        report.swapped += swapped
        process.read(stream, first, last)


def scan_region(process, region, stream, report):
    for _ in range(ATTEMPTS):
        try:
            read_region(process, region, stream, report)
            report.parts += 1
            return
        except (OSError, OverflowError) as error:  # [vsyscall] lies behind what a file offset can say.
            if region.name in KERNELS:
                report.kernels += 1
                return
            refused = error
        # Mapped anew in between, it can be read the next time.
        if not process.maps(region):
            report.vanished += 1
            return
    report.unreadable.append("%s: %s" % (shown(stream.finder, str(region)), refused))


def scan_open_files(finder, process, report):
    """What has no name any more: removed files that are still open, memfd_create(2)."""
    for name in process_files(process):
        try:
            if not os.readlink("fd/" + name, dir_fd=process.folder).endswith(" (deleted)"):
                continue
            if not stat.S_ISREG(os.stat("fd/" + name, dir_fd=process.folder).st_mode):
                continue
            descriptor = process.open("fd/" + name)
        except OSError:
            report.vanished += 1
            continue
        stream = Stream(finder)
        feed_file(stream, descriptor)
        os.close(descriptor)
        report.parts += 1
        report.take(stream, lambda offset, name=name: ("descriptor %s, a file without a name" % name, offset))


def process_files(process):
    try:
        folder = process.open("fd")
    except OSError:
        return []
    try:
        return os.listdir(folder)
    finally:
        os.close(folder)


def scan_regions(finder, process, regions, report):
    stream = Stream(finder)
    for region in regions:
        scan_region(process, region, stream, report)
    starts = [region.start for region in regions]

    def name(address):
        region = regions[bisect.bisect(starts, address) - 1]
        return shown(finder, str(region)), address - region.start
    report.take(stream, name)


def scan_written(finder, pid):
    """Only what the process itself has written: quick, for what is there now and then."""
    with Process(pid) as process:
        report = Report("written memory", pid)
        scan_regions(finder, process, [region for region in process.regions() if region.anonymous], report)
        return report


def scan_process(finder, pid):
    """Not stopped for it: a process that works is looked at while it works."""
    with Process(pid) as process:
        report = Report("process", pid)
        regions = process.regions()
        if not regions:
            raise CannotLook("process %d has no memory: it has ended, or is the kernel's" % pid)
        report.target = "%d (%s)" % (pid, shown(finder, process.text("comm").strip()))
        scan_regions(finder, process, regions, report)
        scan_open_files(finder, process, report)
        if not process.regions():
            report.unreadable.append("what was left of it when it ended")
        return report

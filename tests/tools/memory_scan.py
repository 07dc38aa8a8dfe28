#!/usr/bin/env python3
"""Looks for an API secret where it must not be: memories of processes, core files, files, the journal."""

import argparse
import ctypes
import errno
import json
import os
import resource
import stat
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from process_memory import scan_process  # noqa: E402
from scan_report import PIECE, CannotLook, Report, feed_file, shown  # noqa: E402
from secret_forms import MOST, Finder, Stream, Unfit  # noqa: E402

EXAMPLE = """example: is it in the signer, in the supervisor, in a core, in the development directory, in the journal?
  (umask 077; cat > /run/secret)     # type it, then Ctrl-D
  memory_scan.py --secret-file /run/secret --pid $(pidof hsm-signerd) --core /tmp/core.4711 --path dev --journal
  shred -u /run/secret

Forms: as it is, zero-padded as in the token, hex in both cases, base64 in each alignment, UTF-16, HMAC's inner and
outer pad and the hash states behind them; 12 bytes in a row of one of these are enough. It prints where, never what.

Exit status: 0 nothing found; 1 found; 2 usage, or nothing found but something could not be looked at."""


def scan_file(finder, path, report=None):
    report = report or Report("file", shown(finder, path))
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENOENT and report.kind == "tree":
            report.vanished += 1
        else:
            report.unreadable.append("%s: %s" % (shown(finder, path), error.strerror))
        return report
    stream = Stream(finder)
    try:
        feed_file(stream, descriptor)
        report.parts += 1
    except OSError as error:
        report.unreadable.append("%s: %s" % (shown(finder, path), error.strerror))
    finally:
        os.close(descriptor)
    report.take(stream, lambda offset: (shown(finder, path), offset))
    return report


def scan_name(finder, folder, name, report):
    stream = Stream(finder)
    stream.feed(0, os.fsencode(name))
    report.take(stream, lambda offset: ("a name in " + shown(finder, folder), offset))


def scan_tree(finder, path):
    """Regular files below, their names and what symbolic links say. Links are not followed."""
    if not os.path.isdir(path) or os.path.islink(path):
        if not os.path.lexists(path):
            raise CannotLook("%s: no such file" % shown(finder, path))
        return scan_file(finder, path)
    report = Report("tree", shown(finder, path))
    refused = []
    for folder, folders, files in os.walk(path, onerror=refused.append):
        for name in folders + files:
            scan_name(finder, folder, name, report)
            whole = os.path.join(folder, name)
            try:
                mode = os.lstat(whole).st_mode
                if stat.S_ISLNK(mode):
                    scan_name(finder, folder, os.readlink(whole), report)
            except FileNotFoundError:
                report.vanished += 1
                continue
            if stat.S_ISREG(mode):
                scan_file(finder, whole, report)
    for error in refused:
        if error.errno == errno.ENOENT:
            report.vanished += 1
        else:
            report.unreadable.append("%s: %s" % (shown(finder, error.filename), error.strerror))
    return report


def check_core(path):
    """An ELF core, whole: one cut short by a limit would say nothing of what it lacks."""
    try:
        with open(path, "rb") as core:
            head = core.read(64)
            if len(head) < 64 or head[:5] != b"\x7fELF\x02" or head[16:18] != struct.pack("<H", 4):
                raise CannotLook("%s is no 64-bit ELF core" % path)
            (table,) = struct.unpack_from("<Q", head, 32)
            size, count = struct.unpack_from("<HH", head, 54)
            core.seek(table)
            for header in struct.iter_unpack("<IIQQQQQQ", core.read(size * count)):
                if header[2] + header[5] > os.fstat(core.fileno()).st_size:
                    raise CannotLook("%s was cut short" % path)
    except OSError as error:
        raise CannotLook("%s: %s" % (path, error.strerror)) from None


def scan_core(finder, path):
    check_core(path)
    report = scan_file(finder, path)
    report.kind = "core"
    return report


def scan_journal(finder, since=None):
    """As journalctl exports it: journal files hold long fields compressed."""
    command = ["journalctl", "--quiet", "--no-pager", "--output=export"] + (["--since=" + since] if since else [])
    report, stream = Report("journal", since or "(all of it)"), Stream(finder)
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as journal:
            while data := journal.stdout.read(PIECE):
                stream.feed(stream.bytes, data)
            said = journal.stderr.read().decode(errors="replace").strip()
    except FileNotFoundError:
        raise CannotLook("there is no journalctl here; give the log files with --path") from None
    if journal.returncode != 0 or stream.bytes == 0:
        raise CannotLook("journalctl gave nothing%s; give the log files with --path"
                         % (": " + shown(finder, said) if said else ""))
    report.parts = 1
    report.take(stream, lambda offset: ("the export", offset))
    return report


# The command line.

def read_secret(path):
    """One newline at its end belongs to the file, as for hsm-signerctl."""
    try:
        with open(0 if path == "-" else path, "rb") as file:
            secret = file.read(MOST + 2)
    except OSError as error:
        raise CannotLook("%s: %s" % (path, error.strerror)) from None
    return secret[:-1] if secret.endswith(b"\n") else secret


def lock_down():
    """This process holds what it looks for: no core of it, nobody's ptrace."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE


def arguments(argv):
    parser = argparse.ArgumentParser(prog="memory_scan.py", description=__doc__, epilog=EXAMPLE,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--secret-file", required=True, metavar="FILE", help="the secret; '-' is standard input")
    parser.add_argument("--pid", type=int, action="append", default=[], help="a process; repeatable")
    parser.add_argument("--core", action="append", default=[], metavar="FILE", help="an ELF core file; repeatable")
    parser.add_argument("--path", action="append", default=[], help="a file, or all below a directory; repeatable")
    parser.add_argument("--journal", action="store_true", help="what journalctl exports")
    parser.add_argument("--since", metavar="TIME", help="of the journal only what is later; as journalctl takes it")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    if not (given.pid or given.core or given.path or given.journal):
        parser.error("nothing to look at: give --pid, --core, --path or --journal")
    return given


def scan_all(finder, given):
    """(reports, sentences about what could not be looked at)"""
    reports, failures = [], []
    jobs = [(scan_process, pid) for pid in given.pid] + [(scan_core, path) for path in given.core]
    jobs += [(scan_tree, path) for path in given.path] + [(scan_journal, given.since)] * given.journal
    for scan, target in jobs:
        try:
            reports.append(scan(finder, target))
        except CannotLook as failure:
            failures.append(str(failure))
    return reports, failures


def main(argv):
    given = arguments(argv)
    lock_down()
    try:
        finder = Finder(read_secret(given.secret_file))
    except (CannotLook, Unfit) as failure:
        print("memory_scan.py: %s" % failure, file=sys.stderr)
        return 2
    reports, failures = scan_all(finder, given)
    if given.json:
        print(json.dumps({"found": any(report.hits for report in reports), "could_not_look": failures,
                          "targets": [report.as_json() for report in reports]}))
    else:
        print("\n".join(map(str, reports)))
    for failure in failures:
        print("memory_scan.py: could not look: %s" % failure, file=sys.stderr)
    if any(report.hits for report in reports):
        return 1
    return 2 if failures or not all(report.complete() for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The memory scanner on processes that hold the secret, in each form and in no other, and on such as do not."""

import base64
import errno
import hashlib
import hmac
import json
import mmap
import os
import pwd
import shutil
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from memory_holder import CHURN, TOOLS, HoldingCase, random_secret  # noqa: E402
import memory_scan  # noqa: E402
import process_memory  # noqa: E402
import scan_report  # noqa: E402
import secret_forms  # noqa: E402


class Forms(HoldingCase):
    """Bytes on both sides, so that nothing is found but what is told apart."""

    def test_the_secret_as_it_is(self):
        hit, holder = self.assert_held(b"=" + self.secret + b"=", "raw")
        self.assertEqual((hit["first"], hit["last"], hit["of"]), (0, 28, 28))
        start = int(hit["where"].split("-")[0], 16)
        self.assertEqual(start + hit["offset"], holder.address + 101)

    def test_the_canonical_padded_key(self):
        self.assert_held(b"=" + self.secret.ljust(48, b"\0") + b"=", "canonical")

    def test_hex_in_lower_case(self):
        self.assert_held(b"=" + self.secret.hex().encode() + b"=", "hex")

    def test_hex_in_upper_case(self):
        self.assert_held(b"=" + self.secret.hex().upper().encode() + b"=", "HEX")

    def test_base64_with_the_secret_in_front(self):
        self.assert_held(base64.b64encode(self.secret), "base64 at 0")

    def test_base64_with_one_byte_before_the_secret(self):
        self.assert_held(base64.b64encode(b"x" + self.secret + b"yz"), "base64 at 1")

    def test_base64_with_two_bytes_before_the_secret(self):
        self.assert_held(base64.b64encode(b"xy" + self.secret + b"z"), "base64 at 2")

    def test_base64_in_its_url_safe_alphabet(self):
        # '>' and '?' three apart make the characters in which the alphabets differ, whatever the alignment.
        secret = random_secret(28, ">>>???~~~")
        finder = secret_forms.Finder(secret)
        for before in (b"", b"x", b"xy"):
            with self.subTest(before=len(before)):
                text = base64.urlsafe_b64encode(before + secret + b"zz")
                self.assertTrue(b"-" in text or b"_" in text)
                self.assert_held(text, "base64url at %d" % len(before), finder)

    def test_utf16(self):
        self.assert_held(b"=" + self.secret.decode().encode("utf-16le") + b"=", "utf-16le")

    def test_hmac_pads_of_a_whole_block(self):
        for name, pad in (("inner", 0x36), ("outer", 0x5c)):
            block = bytes(byte ^ pad for byte in self.secret.ljust(128, b"\0"))
            self.assert_held(b"=" + block + b"=", "hmac %s pad" % name)

    def test_hmac_pads_of_which_only_the_secrets_part_is_there(self):
        for name, pad in (("inner", 0x36), ("outer", 0x5c)):
            part = bytes(byte ^ pad for byte in self.secret)
            hit, _ = self.assert_held(b"=" + part + b"=", "hmac %s pad, key's part" % name)
            self.assertEqual((hit["first"], hit["last"], hit["of"]), (0, 28, 28))

    def test_the_hash_states_behind_the_pads(self):
        for name, pad in (("inner", 0x36), ("outer", 0x5c)):
            state = secret_forms.sha384_state(bytes(byte ^ pad for byte in self.secret.ljust(128, b"\0")))
            self.assert_held(struct.pack("<8Q", *state), "hmac %s state" % name)
            self.assert_held(struct.pack(">8Q", *state), "hmac %s state, big-endian" % name)

    def test_the_hash_of_a_secret_longer_than_a_block(self):
        secret = random_secret(200)
        finder, key = secret_forms.Finder(secret), hashlib.sha384(secret).digest()
        self.assert_held(b"=" + secret + b"=", "raw", finder)
        self.assert_held(b"=" + key + b"=", "canonical", finder)
        self.assert_held(key.hex().encode(), "canonical hex", finder)
        self.assert_held(bytes(byte ^ 0x36 for byte in key.ljust(128, b"\0")), "hmac inner pad", finder)

    def test_a_process_without_it_has_none(self):
        report = process_memory.scan_process(self.finder, self.holder(self.secret, held=False).pid)
        self.assertEqual(report.hits, [])
        self.assertGreater(report.bytes, 1000000)
        self.assertTrue(report.complete(), report)

    def test_a_mac_computed_with_the_state_is_hmacs(self):
                # The tool's own SHA-384 against hashlib: one block of message behind the inner pad, by hand.
        text = b"payload"
        inner = hashlib.sha384(bytes(b ^ 0x36 for b in self.secret.ljust(128, b"\0")) + text).digest()
        outer = hashlib.sha384(bytes(b ^ 0x5c for b in self.secret.ljust(128, b"\0")) + inner).digest()
        self.assertTrue(outer == hmac.new(self.secret, text, hashlib.sha384).digest())
        block = b"abc\x80" + bytes(108) + struct.pack(">QQ", 0, 24)
        state = struct.pack(">8Q", *secret_forms.sha384_state(block))
        self.assertEqual(state[:48], hashlib.sha384(b"abc").digest())


class Parts(HoldingCase):
    def test_what_freed_memory_leaves_of_it_is_found(self):
        # malloc writes two pointers over the first 16 bytes of what is given back.
        hit, _ = self.assert_held(bytes(16) + self.secret[16:] + bytes(4), "raw")
        self.assertEqual((hit["first"], hit["last"]), (16, 28))

    def test_any_twelve_bytes_in_a_row_are_found(self):
        for first in range(len(self.secret) - 11):
            found = self.finder.search(b"=" + self.secret[first:first + 12] + b"=")
            self.assertEqual([(hit.form, hit.first, hit.last) for hit in found], [("raw", first, first + 12)])

    def test_eleven_are_chance(self):
        for first in range(len(self.secret) - 10):
            self.assertEqual(self.finder.search(b"=" + self.secret[first:first + 11] + b"="), [])

    def test_the_filling_of_pads_and_of_padded_keys_is_no_secret(self):
        self.assertEqual(self.finder.search(b"\x36" * 500 + b"\x5c" * 500 + bytes(500)), [])


class Places(HoldingCase):
    def test_a_secret_in_the_arguments_and_in_the_environment(self):
        for arguments, environment in (([self.secret.decode()], {}), ([], {"S": self.secret.decode()})):
            process = subprocess.Popen(["/bin/cat", "-", *arguments], stdin=subprocess.PIPE, env=environment)
            try:
                process_memory.scan_process(self.finder, process.pid)  # It may not have become cat yet.
                with open("/proc/%d/maps" % process.pid) as maps:
                    self.assertIn("[stack]", maps.read())
                report = process_memory.scan_process(self.finder, process.pid)
            finally:
                process.kill()
                process.communicate()
            self.assertTrue(any("[stack]" in hit["where"] for hit in report.hits), report)

    def test_a_child_of_who_holds_it_is_not_suspected_for_that(self):
        # This program holds the secret; what it starts begins with a memory of its own.
        process = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        self.assertEqual(process_memory.scan_process(self.finder, process.pid).hits, [])

    def test_it_does_not_look_into_itself(self):
        with self.assertRaisesRegex(scan_report.CannotLook, "is this program"):
            process_memory.scan_process(self.finder, os.getpid())

    def test_across_the_pieces_in_which_a_memory_is_read(self):
        pages = 4 * scan_report.PIECE // mmap.PAGESIZE
        for at in range(-28, 1, 7):
            hit, _ = self.assert_held(b"=" + self.secret + b"=", "raw", at=scan_report.PIECE + at - 1, pages=pages)
            self.assertEqual((hit["first"], hit["last"]), (0, 28))

    def test_across_two_mappings(self):
        holder = self.holder(b"=" + self.secret + b"=", at=mmap.PAGESIZE - 15, pages=2)
        holder.tell("protect", mmap.PAGESIZE, mmap.PROT_READ)
        report = process_memory.scan_process(self.finder, holder.pid)
        self.assertEqual([(hit["form"], hit["first"], hit["last"]) for hit in report.hits], [("raw", 0, 28)], report)

    def test_behind_a_page_that_the_process_itself_may_not_read(self):
        holder = self.holder(self.secret + b"=", at=0)
        holder.tell("protect", 0, mmap.PROT_READ & 0)
        with open("/proc/%d/maps" % holder.pid) as maps:
            self.assertIn("%x-%x ---" % (holder.address, holder.address + mmap.PAGESIZE), maps.read())
        self.assertEqual(process_memory.scan_process(self.finder, holder.pid).forms(), {"raw"})

    def test_in_a_file_without_a_name_that_is_open(self):
        holder = self.holder(b"=" + self.secret + b"=")
        holder.tell("nameless")
        report = process_memory.scan_process(self.finder, holder.pid)
        self.assertEqual([hit["form"] for hit in report.hits], ["raw"], report)
        self.assertIn("without a name", report.hits[0]["where"])

    def test_the_kernels_own_pages_are_counted_and_no_failure(self):
        report = process_memory.scan_process(self.finder, self.holder(b"x").pid)
        self.assertGreater(report.kernels, 0)
        self.assertEqual(report.unreadable, [])


class Changes(HoldingCase):
    """What happens while it looks."""

    def test_a_region_that_goes_away_is_counted_and_the_rest_looked_at(self):
        for flags in (mmap.MAP_PRIVATE, mmap.MAP_SHARED):
            holder = self.holder(b"=" + self.secret + b"=", pages=1, flags=flags)
            holder.tell("protect", 0, 7)  # Unlike its neighbours, or the kernel would make one region of them.
            with process_memory.Process(holder.pid) as process:
                regions = process.regions()
                holder.tell("unmap")
                report = scan_report.Report("process", holder.pid)
                process_memory.scan_regions(self.finder, process, regions, report)
            self.assertEqual((report.vanished, report.unreadable, report.hits), (1, [], []))
            self.assertGreater(report.parts, 20)

    def test_a_process_that_maps_and_unmaps_all_the_time(self):
        process = subprocess.Popen([sys.executable, "-c", CHURN], stdout=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        process.stdout.readline()
        for _ in range(20):
            report = process_memory.scan_process(self.finder, process.pid)
            self.assertEqual((report.hits, report.unreadable), ([], []))
            self.assertGreater(report.bytes, 1000000)

    def scan_refusing(self, refusals):
        """Of a process whose memory cannot be read the first times, though it is mapped."""
        with process_memory.Process(self.holder(b"=" + self.secret + b"=").pid) as process:
            refused, read = [], process.read

            def reluctant(stream, first, last):
                if len(refused) < refusals:
                    refused.append(first)
                    raise OSError(errno.EIO, "not now")
                read(stream, first, last)
            process.read = reluctant
            report = scan_report.Report("process", 0)
            process_memory.scan_regions(self.finder, process, process.regions(), report)
            return report

    def test_what_could_not_be_read_is_tried_again(self):
        report = self.scan_refusing(3)
        self.assertEqual((report.unreadable, report.vanished, report.forms()), ([], 0, {"raw"}))

    def test_what_cannot_be_read_is_named_and_leaves_the_report_incomplete(self):
        report = self.scan_refusing(process_memory.ATTEMPTS)
        self.assertEqual(len(report.unreadable), 1)
        self.assertRegex(report.unreadable[0], "^[0-9a-f]+-[0-9a-f]+ /.*: .*not now$")
        self.assertIn("could not look at " + report.unreadable[0], str(report))
        self.assertFalse(report.complete())

    def test_a_process_that_ends_meanwhile_was_not_looked_at_whole(self):
        holder = self.holder(b"x")
        test = self

        class Killing(secret_forms.Finder):
            def search(self, data):
                if holder.process.poll() is None and len(data) > 4096:
                    holder.end()
                return super().search(data)
        report = process_memory.scan_process(Killing(test.secret), holder.pid)
        self.assertFalse(report.complete())
        self.assertIn("when it ended", report.unreadable[-1])

    def test_one_that_has_ended_is_said_so(self):
        holder = self.holder(b"x")
        holder.end()
        with self.assertRaisesRegex(scan_report.CannotLook, "No such file"):
            process_memory.scan_process(self.finder, holder.pid)

    def test_the_same_bytes_are_searched_again_once_they_have_changed(self):
        clean = os.urandom(5000)
        self.assertEqual(self.finder.search(clean), [])
        self.assertEqual(self.finder.search(clean), [])
        self.assertEqual(len(self.finder.search(clean[:2000] + self.secret + clean[2028:])), 1)


class Files(HoldingCase):
    def test_each_form_at_each_place_around_the_end_of_a_piece(self):
        piece = 1024
        for form in self.finder.forms:
            for at in range(piece - len(form.data) - 2, piece + 2):
                noise = b"\xff" * at + form.data + b"\xff" * 300
                stream = secret_forms.Stream(self.finder)
                for offset in range(0, len(noise), piece):
                    stream.feed(offset, noise[offset:offset + piece])
                self.assertEqual([(hit.kind, hit.offset, hit.first, hit.last) for hit in stream.found()],
                                 [(form, at, 0, len(form.data))], (form.name, at))

    def test_pieces_with_a_gap_between_them_are_not_taken_for_one(self):
        stream = secret_forms.Stream(self.finder)
        stream.feed(0, b"=" + self.secret[:14])
        stream.feed(4096, self.secret[14:] + b"=")
        self.assertEqual([(hit.offset, hit.first, hit.last) for hit in stream.found()], [(1, 0, 14), (4096, 14, 28)])

    def test_below_a_directory_in_content_name_and_link(self):
        folder = self.folder()
        os.makedirs(os.path.join(folder, "a", "b"))
        with open(os.path.join(folder, "a", "b", "content"), "wb") as file:
            file.write(bytes(scan_report.PIECE - 10) + self.secret.hex().encode())
        with open(os.path.join(folder, "a", self.secret.decode()), "wb") as file:
            file.write(b"nothing")
        os.symlink(self.secret, os.path.join(folder, "a", "link"))
        os.mkfifo(os.path.join(folder, "fifo"))
        report = memory_scan.scan_tree(self.finder, folder)
        self.assertEqual(sorted((hit["form"], hit["where"]) for hit in report.hits),
                         [("hex", folder + "/a/b/content"), ("raw", "a name in " + folder + "/a"),
                          ("raw", "a name in " + folder + "/a")])
        self.assertEqual(report.parts, 2)

    def test_a_core_must_be_one_and_whole(self):
        with self.assertRaisesRegex(scan_report.CannotLook, "no 64-bit ELF core"):
            memory_scan.scan_core(self.finder, self.write(self.secret * 10))
        with self.assertRaisesRegex(scan_report.CannotLook, "no 64-bit ELF core"):
            memory_scan.scan_core(self.finder, "/bin/cat")
        path = self.write(core(self.secret))
        self.assertEqual(memory_scan.scan_core(self.finder, path).forms(), {"raw"})
        os.truncate(path, os.path.getsize(path) - 1)
        with self.assertRaisesRegex(scan_report.CannotLook, "cut short"):
            memory_scan.scan_core(self.finder, path)


def core(content):
    """The least ELF core: one segment that holds this."""
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 4, 120, 0, 0, len(content), len(content), 1) + content


class CommandLine(HoldingCase):
    def run_it(self, *arguments, secret=None, path=None):
        environment = {"PATH": (path + ":" if path else "") + os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, os.path.join(TOOLS, "memory_scan.py"), "--secret-file", "-", *arguments]
        done = subprocess.run(command, input=self.secret + b"\n" if secret is None else secret, env=environment,
                              capture_output=True, check=False, timeout=60)
        self.assertEqual(secret_forms.Finder(self.secret).search(done.stdout + b"\n" + done.stderr), [])
        return done

    def test_found_is_1_and_says_where_and_not_what(self):
        path = self.write(b"====" + self.secret)
        done = self.run_it("--path", path)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("raw: bytes 0 to 28 of 28, in %s at 0x4" % path, done.stdout.decode())
        told = json.loads(self.run_it("--json", "--path", path).stdout)
        self.assertTrue(told["found"])
        self.assertEqual(told["targets"][0]["hits"],
                         [{"form": "raw", "where": path, "offset": 4, "first": 0, "last": 28, "of": 28}])

    def test_a_name_that_holds_the_secret_is_not_printed(self):
        path = self.write(self.secret, name=self.secret.decode())
        for target in (path, os.path.dirname(path)):
            self.assertEqual(self.run_it("--path", target).returncode, 1)

    def test_nothing_found_is_0(self):
        done = self.run_it("--json", "--path", self.write(b"nothing"), "--pid", str(self.holder(b"x").pid))
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual((told["found"], told["could_not_look"], len(told["targets"])), (False, [], 2))

    def test_what_could_not_be_looked_at_is_2_unless_something_was_found(self):
        path = self.write(self.secret)
        ended = self.holder(b"x")
        ended.end()
        for target in (["--pid", str(ended.pid)], ["--core", path], ["--path", path + ".not"]):
            done = self.run_it(*target)
            self.assertEqual(done.returncode, 2, target)
            self.assertIn("could not look", done.stderr.decode())
            self.assertEqual(self.run_it("--path", path, *target).returncode, 1)

    def test_who_may_not_look_is_told_so(self):
        if os.getuid() != 0:
            self.skipTest("needs another uid")
        uid = pwd.getpwnam("nobody").pw_uid
        folder = self.folder()
        for name in ("memory_scan.py", "process_memory.py", "scan_report.py", "secret_forms.py"):
            shutil.copy(os.path.join(TOOLS, name), folder)
        path = self.write(self.secret)
        os.chmod(path, 0)
        for target in (["--pid", str(self.holder(self.secret).pid)], ["--path", path]):
            command = ["/usr/bin/python3", os.path.join(folder, "memory_scan.py"), "--secret-file", "-", *target]
            done = subprocess.run(command, input=self.secret, capture_output=True, user=uid, group=uid, extra_groups=[],
                                  check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn(b"Permission denied", done.stdout + done.stderr)

    def test_secrets_that_would_be_found_everywhere_are_refused(self):
        for secret in (b"", b"short", b"a" * 28, b"x" * 5000):
            done = self.run_it("--path", "/etc/hostname", secret=secret)
            self.assertEqual((done.returncode, done.stdout), (2, b""), secret)

    def test_it_needs_a_target_and_takes_no_secret_as_an_argument(self):
        self.assertEqual(self.run_it().returncode, 2)
        self.assertEqual(self.run_it("--secret", "x" * 28, "--path", "/etc/hostname").returncode, 2)
        self.assertIn(b"example:", self.run_it("--help").stdout)

    def journal(self, script):
        path = self.write(b"#!/bin/sh\n" + script, name="journalctl")
        os.chmod(path, 0o755)
        return os.path.dirname(path)

    def test_the_journal_as_it_is_exported(self):
        with_it = self.journal(b"[ \"$*\" = '--quiet --no-pager --output=export --since=-1h' ] && echo MESSAGE="
                               + self.secret.hex().encode())
        self.assertEqual(self.run_it("--journal", "--since=-1h", path=with_it).returncode, 1)
        self.assertEqual(self.run_it("--journal", path=self.journal(b"echo MESSAGE=nothing")).returncode, 0)

    def test_a_journal_that_gives_nothing_proves_nothing(self):
        for script in (b"exit 0", b"echo MESSAGE=half; echo no >&2; exit 1"):
            done = self.run_it("--journal", path=self.journal(script))
            self.assertEqual(done.returncode, 2)
            self.assertIn(b"--path", done.stderr)


if __name__ == "__main__":
    unittest.main()

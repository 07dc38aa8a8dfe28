"""The stop script that quickstart writes: it ends the simulated exchange of its own directory, and nothing else.

usage: quickstart_test.py [-v] QUICKSTART
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SCRIPT = os.path.abspath(sys.argv.pop())


def write_stop():
    """The function as quickstart has it: running all of quickstart would build the whole tree."""
    with open(SCRIPT) as text:
        found = re.search(r"^write_stop\(\) \{\n.*?^\}\n", text.read(), re.DOTALL | re.MULTILINE)
    assert found, "quickstart has no write_stop"
    return found.group()


class Stop(unittest.TestCase):
    def setUp(self):
        self.path = tempfile.mkdtemp(prefix="hsm-quickstart-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.path)
        self.dir = os.path.join(self.path, "dev")
        self.bin = os.path.join(self.path, "bin")
        self.pid_file = os.path.join(self.dir, "run", "gemini-sim.pid")
        os.makedirs(os.path.dirname(self.pid_file))
        os.mkdir(self.bin)
        # Each stays until its standard input ends, under the command line it was given.
        self.program("gemini-sim", "read _\n")
        self.program("hsm-signerctl", 'echo "$*"\n')
        subprocess.run(["bash", "-euo", "pipefail", "-c", write_stop() + "write_stop"], check=True,
                       env={"PATH": os.environ["PATH"], "dir": self.dir, "bin": self.bin})

    def program(self, name, body):
        file = os.path.join(self.bin, name)
        with open(file, "w") as text:
            text.write("#!/bin/sh\n" + body)
        os.chmod(file, 0o755)

    def start(self, *arguments):
        process = subprocess.Popen(arguments, stdin=subprocess.PIPE)
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def exchange(self, directory):
        return self.start(os.path.join(self.bin, "gemini-sim"), "--keys", directory + "/sim/keys.toml", "--listen", "x")

    def stop(self, pid):
        with open(self.pid_file, "w") as text:
            text.write("%s\n" % pid)
        done = subprocess.run([os.path.join(self.dir, "stop")], capture_output=True, text=True, check=False, cwd="/")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "--dir %s down\n" % self.dir, ""))
        self.assertFalse(os.path.exists(self.pid_file))

    def assert_lives(self, process):
        with self.assertRaises(subprocess.TimeoutExpired):
            process.wait(timeout=0.2)

    def test_the_exchange_of_this_directory_is_ended(self):
        process = self.exchange(self.dir)
        self.stop(process.pid)
        self.assertEqual(process.wait(timeout=10), -15)

    def test_a_program_that_has_the_old_pid_lives(self):
        process = self.start("sleep", "60")
        self.stop(process.pid)
        self.assert_lives(process)

    def test_the_exchange_of_another_directory_lives(self):
        process = self.exchange(self.dir + "-other")
        self.stop(process.pid)
        self.assert_lives(process)

    def test_a_pid_file_that_names_no_process_is_removed_without_a_word(self):
        for text in ("4194305", "", "12 34", "../self", "self"):
            with self.subTest(text):
                self.stop(text)


if __name__ == "__main__":
    unittest.main()

"""ensure_packages on machines that miss something: dpkg-query and apt-get are played, the shell options are the callers'.

usage: packages_test.py [-v] PACKAGES.SH
"""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import unittest

SCRIPT = os.path.abspath(sys.argv.pop())


class Machine:
    """A PATH on which dpkg-query knows `installed`, and apt-get remembers what it was asked, failing `failures` times."""

    def __init__(self, installed, failures=0):
        self.path = tempfile.mkdtemp(prefix="hsm-packages-", dir="/tmp")
        os.chmod(self.path, 0o755)
        self.asked = os.path.join(self.path, "asked")
        self.write("dpkg-query", 'known=" %s "\nstatus=0\nfor name in "$@"; do\n  case $name in -*) continue ;; esac\n'
                   '  case $known in\n    *" $name "*) echo "$name ii " ;;\n'
                   '    *) echo "dpkg-query: no packages found matching $name" >&2; status=1 ;;\n  esac\ndone\nexit $status\n'
                   % " ".join(installed))
        self.write("apt-get", 'echo "$*" >>%s\n[ "$(wc -l <%s)" -gt %d ]\n' % (self.asked, self.asked, failures))

    def write(self, name, body):
        file = os.path.join(self.path, name)
        with open(file, "w") as text:
            text.write("#!/bin/bash\n" + body)
        os.chmod(file, 0o755)

    def ensure(self, user=None):
        code = ". %s; packages_build=(one two three); packages_test=(four); ensure_packages build test; echo done" % (
            os.path.join(self.path, "packages.sh"))
        shutil.copy(SCRIPT, os.path.join(self.path, "packages.sh"))
        os.chmod(os.path.join(self.path, "packages.sh"), 0o644)
        more = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        return subprocess.run(["bash", "-euo", "pipefail", "-c", code], capture_output=True, text=True, check=False,
                              cwd="/", env={"PATH": self.path + ":" + os.environ["PATH"]}, **more)

    def commands(self):
        if not os.path.exists(self.asked):
            return []
        with open(self.asked) as lines:
            return lines.read().splitlines()


class Packages(unittest.TestCase):
    def machine(self, installed, **more):
        machine = Machine(installed, **more)
        self.addCleanup(shutil.rmtree, machine.path)
        return machine

    def test_nothing_is_asked_for_where_nothing_is_missing(self):
        machine = self.machine(["one", "two", "three", "four"])
        done = machine.ensure()
        self.assertEqual((done.returncode, done.stdout), (0, "done\n"), done.stderr)
        self.assertEqual(machine.commands(), [])

    def test_a_package_that_dpkg_never_saw_is_installed(self):
        machine = self.machine(["one", "three"])
        done = machine.ensure()
        self.assertEqual((done.returncode, done.stdout), (0, "done\n"), done.stderr)
        self.assertEqual(machine.commands(), ["install -y --no-install-recommends two four"])

    def test_on_a_bare_machine_all_are_installed(self):
        machine = self.machine([])
        self.assertEqual(machine.ensure().returncode, 0)
        self.assertEqual(machine.commands(), ["install -y --no-install-recommends one two three four"])

    def test_old_package_lists_are_fetched_anew_and_the_installation_tried_again(self):
        machine = self.machine([], failures=1)
        self.assertEqual(machine.ensure().returncode, 0)
        self.assertEqual(machine.commands(), ["install -y --no-install-recommends one two three four", "update",
                                              "install -y --no-install-recommends one two three four"])

    def test_packages_that_cannot_be_installed_are_named_and_end_it(self):
        machine = self.machine(["one"], failures=9)
        done = machine.ensure()
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("could not install: two three four", done.stderr)

    def test_without_root_they_are_named_with_the_command_for_root(self):
        machine = self.machine(["one"])
        done = machine.ensure(user=pwd.getpwnam("nobody").pw_uid if os.getuid() == 0 else None)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("apt-get install --no-install-recommends two three four", done.stderr)
        self.assertEqual(machine.commands(), [])


if __name__ == "__main__":
    unittest.main()

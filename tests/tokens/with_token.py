#!/usr/bin/env python3
"""with_token.py KIND COMMAND…: runs the command on a token of that kind (worlds.py), which is made for it and gone
afterwards. Exit status: the command's; 77 where no token is given; 1 where the token cannot be made."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import worlds  # noqa: E402

SKIPPED = 77
INSIDE = "HSM_TEST_INSIDE_NAMESPACES"


def enter_namespaces():
    """For openCryptoki. Whoever is killed takes everything in the pid namespace along."""
    if os.geteuid() != 0:
        raise worlds.CannotMake("openCryptoki's daemon wants root")
    os.environ[INSIDE] = "yes"
    os.execvp("unshare", ["unshare", "--mount", "--ipc", "--pid", "--fork", "--mount-proc", "--kill-child",
                          sys.executable] + sys.argv)


def main():
    kind, command = sys.argv[1], sys.argv[2:]
    if kind == "given" and not os.environ.get("HSM_SIGNER_TEST_MODULE"):
        print("skipped: HSM_SIGNER_TEST_MODULE names no module (docs/tokens.md)")
        return SKIPPED
    try:
        if kind == "opencryptoki" and INSIDE not in os.environ:
            enter_namespaces()
        with worlds.make(kind) as token:
            return subprocess.run(command, env=token.environment(), check=False,
                                  preexec_fn=worlds.die_with_parent).returncode
    except worlds.CannotMake as why:
        print("with_token.py: no token of kind %s: %s" % (kind, why), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

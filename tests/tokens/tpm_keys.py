#!/usr/bin/env python3
"""tpm_keys.py PIN_FILE LIST: brings HMAC-SHA384 keys with given secrets into the token "desk" of tpm2-pkcs11.

Each line of LIST: a label, the secret in hexadecimal (28 to 128 bytes), the number of objects to make of it, and, if
that is one, the CKA_ID in hexadecimal. (tpm2_ptool link --id takes text, and no zero byte can be in it.)

PKCS#11 is no way in: tpm2-pkcs11 takes secret keys neither by C_CreateObject nor by C_UnwrapKey, tpm2_create takes no
HMAC key from outside, and tpm2_import makes SHA-256 keys only. So the TPM is asked itself (TPM 2.0 Library part 3,
TPM2_Create) and its answer is linked into the store by tpm2_ptool. TPM2TOOLS_TCTI and TPM2_PKCS11_STORE say where."""

import os
import sqlite3
import struct
import subprocess
import sys
import tempfile

TPM_ST_SESSIONS, TPM_RS_PW, TPM_CC_CREATE = 0x8002, 0x40000009, 0x153
TPM_ALG_KEYEDHASH, TPM_ALG_HMAC, TPM_ALG_SHA256, TPM_ALG_SHA384 = 0x8, 0x5, 0xb, 0xc
FIXED_TPM, FIXED_PARENT, USER_WITH_AUTH, SIGN = 1 << 1, 1 << 4, 1 << 6, 1 << 18


def ask(*command, secret="", **more):
    """Runs it. Its own words are shown where it fails, without `secret`, and never its arguments: PINs are among them."""
    done = subprocess.run(command, capture_output=True, check=False, timeout=60, **more)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode(errors="replace")
        sys.exit("tpm_keys.py: %s: exit %d\n%s" % (" ".join(command[:2]), done.returncode,
                                                  said.replace(secret, "(PIN)") if secret else said))
    return done.stdout


def sized(data):
    """A TPM2B."""
    return struct.pack(">H", len(data)) + data


def split_sized(data):
    """The TPM2B at the start with its length, and what follows."""
    end = 2 + struct.unpack(">H", data[:2])[0]
    return data[:end], data[end:]


def create_command(parent, auth, secret):
    session = struct.pack(">IHBH", TPM_RS_PW, 0, 0, 0)  # The parent has an empty password.
    sensitive = sized(auth) + sized(secret)
    # sensitiveDataOrigin is absent: the secret comes from outside.
    public = struct.pack(">HHIHHHH", TPM_ALG_KEYEDHASH, TPM_ALG_SHA256,
                         FIXED_TPM | FIXED_PARENT | USER_WITH_AUTH | SIGN, 0, TPM_ALG_HMAC, TPM_ALG_SHA384, 0)
    body = (struct.pack(">II", parent, len(session)) + session + sized(sensitive) + sized(public) +
            struct.pack(">HI", 0, 0))
    return struct.pack(">HII", TPM_ST_SESSIONS, 10 + len(body), TPM_CC_CREATE) + body


def create(parent, auth, secret):
    """TPM2B_PRIVATE and TPM2B_PUBLIC, as tpm2-tools keep them in files."""
    answer = ask("tpm2_send", input=create_command(parent, auth, secret))
    code = struct.unpack(">I", answer[6:10])[0]
    if code != 0:
        sys.exit("tpm_keys.py: TPM2_Create answers 0x%x" % code)
    private, rest = split_sized(answer[14:])
    return private, split_sized(rest)[0]


def primary():
    """The handle of the primary key that `tpm2_ptool init` made persistent."""
    return int(ask("tpm2_getcap", "handles-persistent").split()[1], 16)


def link(store, pin, label, auth, private, public):
    with tempfile.TemporaryDirectory() as directory:
        paths = [os.path.join(directory, name) for name in ("key.pub", "key.priv")]
        for path, data in zip(paths, (public, private)):
            with open(path, "wb") as file:
                file.write(data)
        ask("tpm2_ptool", "link", "--label", "desk", "--userpin", pin, "--key-label", label, "--auth", auth, "--path",
            store, *paths, secret=pin)


def objects_of(store):
    return sqlite3.connect(os.path.join(store, "tpm2_pkcs11.sqlite3"))


def name_last(store, cka_id):
    with objects_of(store) as database:
        last = database.execute("SELECT MAX(id) FROM tobjects").fetchone()[0]
    ask("tpm2_ptool", "objmod", "--id", str(last), "--key", "CKA_ID", "--type", "raw", "--value", cka_id, "--path", store)


def repeat_last(store, more):
    """The same TPM key under further objects: linking it anew would take a second each."""
    with objects_of(store) as database:
        for _ in range(more):
            database.execute("INSERT INTO tobjects (tokid, attrs) SELECT tokid, attrs FROM tobjects "
                             "ORDER BY id DESC LIMIT 1")


def main():
    store = os.environ["TPM2_PKCS11_STORE"]
    with open(sys.argv[1]) as file:
        pin = file.read().strip()
    parent = primary()
    with open(sys.argv[2]) as lines:
        for label, secret, count, *cka_id in (line.split() for line in lines):
            auth = os.urandom(16).hex()
            link(store, pin, label, auth, *create(parent, auth.encode(), bytes.fromhex(secret)))
            if cka_id:
                name_last(store, cka_id[0])
            repeat_last(store, int(count) - 1)


if __name__ == "__main__":
    main()

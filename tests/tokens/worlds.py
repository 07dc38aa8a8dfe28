"""Tokens of every kind that the tests know, each made in a temporary directory with the daemons that it wants, and gone
afterwards. What a test program has to know of one is in `variables` (tests/support/test_token.h reads them):

    HSM_SIGNER_TEST_TOKEN      the name under which deviations of this token are listed
    HSM_SIGNER_TEST_MODULE     its PKCS#11 module
    HSM_SIGNER_TEST_ARGUMENTS  for C_Initialize; may be empty
    HSM_SIGNER_TEST_URI        of the token
    HSM_SIGNER_TEST_PIN_FILE
    HSM_SIGNER_TEST_PROFILE
    HSM_SIGNER_TEST_MODULE_ENV names of the variables that the module wants in its environment
    HSM_SIGNER_TEST_SERVER     pid of the process whose children hold the token, where one does"""

import contextlib
import ctypes
import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
URI = "pkcs11:token=desk"


class CannotMake(Exception):
    """The token cannot be made on this machine; the message says why."""


class Token:
    def __init__(self, name, module, profile, pin_file, arguments="", uri=URI, module_env=None):
        self.module_env = module_env or {}
        self.variables = {
            "HSM_SIGNER_TEST_TOKEN": name, "HSM_SIGNER_TEST_MODULE": module, "HSM_SIGNER_TEST_ARGUMENTS": arguments,
            "HSM_SIGNER_TEST_URI": uri, "HSM_SIGNER_TEST_PIN_FILE": pin_file, "HSM_SIGNER_TEST_PROFILE": profile,
            "HSM_SIGNER_TEST_MODULE_ENV": " ".join(self.module_env)}

    def environment(self):
        return {**os.environ, **self.variables, **self.module_env}


def library(name):
    """A library of Debian's multiarch directories."""
    found = glob.glob("/usr/lib/*/" + name)
    if not found:
        raise CannotMake("%s is missing; ./run-tests --long installs what these tests need" % name)
    return found[0]


def run(*command, env=None, stdin=""):
    """A step of a set-up. Its output is shown where it fails, but for the PINs that it was given."""
    done = subprocess.run(command, env={**os.environ, **(env or {})}, input=stdin, text=True, capture_output=True,
                          check=False, timeout=120)
    if done.returncode != 0:
        said = done.stdout + done.stderr
        pins = [value for flag, value in zip(command, command[1:]) if flag in ("--userpin", "--sopin")]
        for pin in sorted(filter(None, [*pins, *stdin.split()]), key=len, reverse=True):
            said = said.replace(pin, "(PIN)")
        raise CannotMake("%s: exit %d\n%s" % (command[0], done.returncode, said))
    return done.stdout


def secret_file(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return path


def wait_for(condition, what, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise CannotMake("not in %d s: %s" % (seconds, what))
        time.sleep(0.05)


def die_with_parent():
    """A test that is killed by its timeout leaves no daemon behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


@contextlib.contextmanager
def daemon(*command, env=None, log):
    """Runs in the foreground until the block ends."""
    with open(log, "ab") as output:
        process = subprocess.Popen(command, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=output, preexec_fn=die_with_parent)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def make_softhsm(directory):
    """softhsm-config/init-token.sh makes PIN, configuration and token."""
    run(os.path.join(SOURCE, "softhsm-config", "init-token.sh"), directory, "desk")
    return {"SOFTHSM2_CONF": os.path.join(directory, "softhsm2.conf")}


@contextlib.contextmanager
def softhsm(directory):
    yield Token("softhsm", SOFTHSM, "softhsm", directory + "/pin", module_env=make_softhsm(directory))


@contextlib.contextmanager
def yubihsm_rules(directory):
    """SoftHSM behind a YubiHSM's rules (tests/fault_module/yubihsm.h); the caller names the fault module."""
    env = make_softhsm(directory)
    device = os.path.join(directory, "device")
    os.mkdir(device, 0o700)
    env.update({"HSM_FAULT_MODULE": SOFTHSM, "HSM_FAULT_YUBIHSM": device, "HSM_FAULT_YUBIHSM_MS": "1"})
    yield Token("yubihsm", os.environ["HSM_TEST_FAULT_MODULE"], "yubihsm", directory + "/pin", module_env=env)


@contextlib.contextmanager
def p11_kit(directory):
    """SoftHSM in another process. The server makes a child for each client."""
    env = make_softhsm(directory)
    address = os.path.join(directory, "p11.sock")
    with daemon("p11-kit", "server", "-f", "--provider", SOFTHSM, "--name", address, URI, env=env,
                log=directory + "/p11-kit.log") as server:
        wait_for(lambda: os.path.exists(address), "p11-kit server listens")
        token = Token("p11-kit", library("pkcs11/p11-kit-client.so"), "generic", directory + "/pin",
                      module_env={"P11_KIT_SERVER_ADDRESS": "unix:path=" + address})
        token.variables["HSM_SIGNER_TEST_SERVER"] = str(server.pid)
        yield token


@contextlib.contextmanager
def nss(directory):
    store = os.path.join(directory, "nss")
    os.mkdir(store, 0o700)
    pin = secret_file(directory + "/pin", "1234\n")
    run("certutil", "-N", "-d", "sql:" + store, "-f", pin)
    arguments = ("configdir='sql:%s' certPrefix='' keyPrefix='' secmod='secmod.db' flags= "
                 "dbTokenDescription='desk'" % store)
    yield Token("nss", library("libsoftokn3.so"), "nss", pin, arguments=arguments)


OPENCRYPTOKI_CONF = "version opencryptoki-3.8\nslot 3\n{\nstdll = libpkcs11_sw.so\n}\n"


@contextlib.contextmanager
def opencryptoki(directory):
    """Its paths and its SysV memory are compiled in, so this one runs in namespaces (with_token.py enters them) where
    those paths are this test's own: the machine's configuration and tokens are never touched."""
    for place in ("etc", "lib", "run", "shm"):
        os.mkdir(os.path.join(directory, place))
    with open(directory + "/etc/opencryptoki.conf", "w") as conf:
        conf.write(OPENCRYPTOKI_CONF)
    for place, target in (("etc", "/etc/opencryptoki"), ("lib", "/var/lib/opencryptoki"), ("run", "/run"),
                          ("shm", "/dev/shm")):
        run("mount", "--bind", os.path.join(directory, place), target)
    for place in ("/run/lock/opencryptoki/swtok", "/var/lib/opencryptoki/swtok/TOK_OBJ"):
        os.makedirs(place)
    for top in ("/run/lock/opencryptoki", "/var/lib/opencryptoki"):
        run("chown", "-R", "root:pkcs11", top)
        run("chmod", "-R", "770", top)
    run("pkcsslotd")  # Goes to the background, and away with its pid namespace.
    wait_for(lambda: os.path.exists("/run/pkcsslotd.socket"), "pkcsslotd listens")
    # Each step takes its PINs from a terminal or, as here, from standard input; 87654321 is what a new token has.
    run("pkcsconf", "-I", "-c", "3", stdin="87654321\ndesk\n")
    run("pkcsconf", "-P", "-c", "3", stdin="87654321\n76543210\n76543210\n")
    run("pkcsconf", "-u", "-c", "3", stdin="76543210\n12345678\n12345678\n")
    run("pkcsconf", "-p", "-c", "3", stdin="12345678\n1234abcd\n1234abcd\n")
    yield Token("opencryptoki", library("opencryptoki/libopencryptoki.so.0"), "opencryptoki",
                secret_file(directory + "/pin", "1234abcd\n"))


def two_free_ports():
    """swtpm's clients take the control channel to be one above the other."""
    for _ in range(50):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise CannotMake("no two neighbouring ports are free")


def succeeds(*command, env):
    return subprocess.run(command, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False, timeout=60).returncode == 0


@contextlib.contextmanager
def tpm2(directory):
    """A TPM in software, a resource manager on a D-Bus of its own before it, and the store of tpm2-pkcs11."""
    for place in ("state", "store"):
        os.mkdir(os.path.join(directory, place), 0o700)
    bus = "unix:path=" + directory + "/bus"
    port = two_free_ports()
    env = {"DBUS_SESSION_BUS_ADDRESS": bus, "TPM2TOOLS_TCTI": "tabrmd:bus_type=session",
           "TPM2_PKCS11_TCTI": "tabrmd:bus_type=session", "TPM2_PKCS11_STORE": directory + "/store"}
    pin = secret_file(directory + "/pin", "1234\n")
    log = directory + "/daemons.log"
    with contextlib.ExitStack() as daemons:
        daemons.enter_context(daemon("dbus-daemon", "--session", "--nofork", "--address=" + bus, log=log))
        daemons.enter_context(daemon(
            "swtpm", "socket", "--tpm2", "--tpmstate", "dir=%s/state" % directory,
            "--server", "type=tcp,port=%d,bindaddr=127.0.0.1" % port,
            "--ctrl", "type=tcp,port=%d,bindaddr=127.0.0.1" % (port + 1),
            "--flags", "not-need-init,startup-clear", "--pid", "file=%s/swtpm.pid" % directory, log=log))
        wait_for(lambda: os.path.exists(directory + "/bus") and os.path.exists(directory + "/swtpm.pid"),
                 "dbus-daemon and swtpm listen")
        root = ("--allow-root",) if os.geteuid() == 0 else ()
        daemons.enter_context(daemon("tpm2-abrmd", "--session", *root, "--tcti=swtpm:host=127.0.0.1,port=%d" % port,
                                     env=env, log=log))
        wait_for(lambda: succeeds("tpm2_getrandom", "--hex", "1", env=env), "tpm2-abrmd answers")
        store = env["TPM2_PKCS11_STORE"]
        run("tpm2_ptool", "init", "--path", store, env=env)
        run("tpm2_ptool", "addtoken", "--pid", "1", "--label", "desk", "--userpin", "1234", "--sopin", "5678", "--path",
            store, env=env)
        yield Token("tpm2", library("pkcs11/libtpm2_pkcs11.so"), "tpm2", pin, module_env=env)


@contextlib.contextmanager
def given(_directory):
    """Somebody's own token, as HSM_SIGNER_TEST_MODULE and its companions say."""
    asked = os.environ
    if not asked.get("HSM_SIGNER_TEST_MODULE"):
        raise CannotMake("HSM_SIGNER_TEST_MODULE is not set")
    missing = [name for name in ("HSM_SIGNER_TEST_URI", "HSM_SIGNER_TEST_PIN_FILE") if not asked.get(name)]
    if missing:
        raise CannotMake("with HSM_SIGNER_TEST_MODULE also set " + " and ".join(missing))
    profile = asked.get("HSM_SIGNER_TEST_PROFILE", "yubihsm")
    yield Token(asked.get("HSM_SIGNER_TEST_TOKEN", profile), asked["HSM_SIGNER_TEST_MODULE"], profile,
                asked["HSM_SIGNER_TEST_PIN_FILE"], asked.get("HSM_SIGNER_TEST_ARGUMENTS", ""),
                asked["HSM_SIGNER_TEST_URI"])


KINDS = {"softhsm": softhsm, "yubihsm-rules": yubihsm_rules, "p11-kit": p11_kit, "nss": nss,
         "opencryptoki": opencryptoki, "tpm2": tpm2, "given": given}


@contextlib.contextmanager
def make(kind):
    directory = tempfile.mkdtemp(prefix="hsm-token-", dir="/tmp")  # Short, for socket paths.
    try:
        with KINDS[kind](directory) as token:
            yield token
    finally:
        # Not through the mounts of openCryptoki's namespaces: those end with them, and the files below are there.
        shutil.rmtree(directory, ignore_errors=True)

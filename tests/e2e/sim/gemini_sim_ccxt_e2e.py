#!/usr/bin/env python3
"""ccxt, the client that most trading programs stand on, places, lists, cancels and withdraws against gemini-sim.

Usage: gemini_sim_ccxt_e2e.py PATH/TO/gemini-sim

Needs node and ccxt: HSM_TEST_CCXT names a directory with node_modules/ccxt; without it npm fetches the version below.
Where npm reaches no registry the test is skipped, with status 77; whatever else keeps ccxt away is a failure.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import client
from client import Sim

VERSION = "4.5.84"
SKIPPED = 77
# What npm calls it when there is no network, no name server or nobody at the registry's address.
UNREACHABLE = {"EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND",
               "ERR_SOCKET_TIMEOUT", "ETIMEDOUT"}
KEYS = """
[[key]]
id = "account-ccxt"
secret = "conformance-api-secret"
roles = ["trader", "fund_manager"]
[[approved]]
network = "bitcoin"
address = "bc1-cold"
"""


def directory_with_ccxt(temporary):
    if "HSM_TEST_CCXT" in os.environ:
        return os.environ["HSM_TEST_CCXT"]
    for name in ("node", "npm"):
        if not shutil.which(name):
            sys.exit(name + " is missing; ./run-tests --long installs it")
    done = subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1",
                           "--fetch-timeout=60000", "ccxt@" + VERSION], cwd=temporary, timeout=300, capture_output=True,
                          text=True, check=False)
    if done.returncode == 0:
        return temporary
    code = re.search(r"^npm (?:ERR!|error) code (\S+)", done.stderr, re.M)
    if code and code.group(1) in UNREACHABLE:
        print("skipped: npm reaches no registry for ccxt %s (%s), and HSM_TEST_CCXT is not set" % (VERSION, code.group(1)))
        sys.exit(SKIPPED)
    sys.exit("npm cannot install ccxt %s:\n%s" % (VERSION, done.stderr.strip()[-1000:]))


class Ccxt(unittest.TestCase):
    maxDiff = None

    def test_ccxt_takes_gemini_sim_for_the_exchange(self):
        sim = Sim(KEYS, control=True)
        self.addCleanup(sim.clean_up)
        script = pathlib.Path(__file__).with_name("ccxt_client.mjs")
        done = subprocess.run(["node", script, "http://127.0.0.1:%d" % sim.port, sim.path("control"), "account-ccxt",
                               "conformance-api-secret"], cwd=DIRECTORY, timeout=120, capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout), {
            "markets": ["BTC/USD", "ETH/BTC", "ETH/USD", "SOL/USD"],
            "placed": ["open", "ccxt-1", 0.5, 30000],
            "open": [True],
            "usd": {"free": 99985000, "used": 15000, "total": 100000000},
            "filled": ["open", 0.2, 0.3],
            "trades": [["buy", 0.2, 30000, True]],
            "cancelled": "canceled",
            "left": 0,
            "withdrawn": 36,
            "address": "simulated-bitcoin-primary-1",
            "errors": {
                "poor": "InsufficientFunds", "thief": "ExchangeError", "unknown": "OrderNotFound",
                "maintenance": "OnMaintenance", "rate": "RateLimitExceeded", "nonce": "InvalidNonce",
                "closed": "NetworkError", "half": "SocketError"}})


if __name__ == "__main__":
    client.take_program()
    with tempfile.TemporaryDirectory(prefix="gemini-sim-ccxt-") as scratch:
        DIRECTORY = directory_with_ccxt(scratch)
        unittest.main()

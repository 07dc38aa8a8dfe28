#!/usr/bin/env python3
"""gemini-sim as its users meet it: the real program, curl as client, openssl as signer.

Usage: gemini_sim_e2e.py PATH/TO/gemini-sim
Neither the project's parser nor its MAC takes part: what agrees here agrees with the outside.
"""
import base64
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import unittest

SIM = ""
SECRET = "1234abcd"
KEYS = """\
[[key]]
id = "account-e2e"
secret = "1234abcd"
roles = ["trader"]
[[key]]
id = "account-documented"
secret_file = "documented.secret"
roles = ["trader"]
"""


def openssl_hmac(text, secret=SECRET):
    done = subprocess.run(["openssl", "dgst", "-sha384", "-hmac", secret, "-r"], input=text.encode(),
                          capture_output=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr  # Python's own error would show the secret.
    return done.stdout.decode().split()[0]


class Sim:
    """A running gemini-sim in a directory of its own."""

    def __init__(self, *options, journal="journal"):
        self.directory = tempfile.TemporaryDirectory(prefix="gemini-sim-")
        with open(self.path("keys.toml"), "w") as keys:
            keys.write(KEYS)
        with open(self.path("documented.secret"), "w") as secret:
            secret.write(SECRET + "\n")
        self.process = subprocess.Popen(
            [SIM, "--keys", self.path("keys.toml"), "--listen", "127.0.0.1:0", "--unix", self.path("s"),
             "--port-file", self.path("port"), "--journal", self.path(journal), *options],
            stdout=subprocess.PIPE, text=True)
        self.ready = self.process.stdout.readline()
        with open(self.path("port")) as port:
            self.port = int(port.read())
        self.nonce = 1_000

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def headers(self, payload, key="account-e2e", secret=SECRET):
        text = base64.b64encode(payload.encode()).decode()
        return ["-H", "X-GEMINI-APIKEY: " + key, "-H", "X-GEMINI-PAYLOAD: " + text,
                "-H", "X-GEMINI-SIGNATURE: " + openssl_hmac(text, secret)]

    def curl(self, path, *options):
        done = subprocess.run(["curl", "-sS", "-m", "10", "-w", "\n%{http_code}", *options,
                               "http://127.0.0.1:%d%s" % (self.port, path)], capture_output=True, text=True, check=False,
                              timeout=30)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        body, status = done.stdout.rsplit("\n", 1)
        return int(status), json.loads(body)

    def post(self, path, payload, **how):
        return self.curl(path, "-X", "POST", *self.headers(payload, **how))

    def call(self, path, **members):
        self.nonce += 1
        return self.post(path, json.dumps({"request": path, "nonce": self.nonce, **members}))

    def raw(self, data, finish=True):
        """What the server says to bytes that no client would send."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            try:
                connection.sendall(data)
                if finish:
                    connection.shutdown(socket.SHUT_WR)
                answer = b""
                while piece := connection.recv(4096):
                    answer += piece
                return answer
            except (ConnectionResetError, BrokenPipeError):
                return b""

    def journal(self):
        with open(self.path("journal")) as lines:
            return [json.loads(line) for line in lines]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=10)

    def clean_up(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=10)
        self.process.stdout.close()
        self.directory.cleanup()


class GeminiSim(unittest.TestCase):
    def start(self, *options, **how):
        sim = Sim(*options, **how)
        self.addCleanup(sim.clean_up)
        return sim

    def refused(self, answer, status, reason):
        self.assertEqual((answer[0], answer[1]["result"], answer[1]["reason"]), (status, "error", reason))
        self.assertTrue(answer[1]["message"])

    def test_an_order_is_placed_found_and_cancelled(self):
        sim = self.start()
        status, order = sim.call("/v1/order/new", symbol="btcusd", amount="0.5", price="30000.00", side="buy",
                                 type="exchange limit", client_order_id="e2e-1")
        self.assertEqual((status, order["is_live"], order["remaining_amount"]), (200, True, "0.5"))
        number = int(order["order_id"])
        self.assertEqual(sim.call("/v1/order/status", order_id=number), (200, order))
        self.assertEqual(sim.call("/v1/orders"), (200, [order]))
        usd = [b for b in sim.call("/v1/balances")[1] if b["currency"] == "USD"][0]
        self.assertEqual((usd["amount"], usd["available"]), ("100000000", "99985000"))
        status, gone = sim.call("/v1/order/cancel", order_id=str(number))
        self.assertEqual((status, gone["is_live"], gone["is_cancelled"]), (200, False, True))
        self.assertEqual(sim.call("/v1/orders"), (200, []))

    def test_the_documented_example_passes_with_the_documented_signature(self):
        sim = self.start()
        payload = ('{\n    "request": "/v1/order/status",\n    "nonce": 123456,\n\n'
                   '    "order_id": 18834\n}\n')
        headers = sim.headers(payload, key="account-documented")
        self.assertTrue("337cc8b4ea692cfe65b4a85fcc9f042b2e3f702ac956fd098d600ab15705775017beae402be773ceee10719ff7"
                        "0d710f" in headers[-1], "not the documented signature")
        self.refused(sim.curl("/v1/order/status", "-X", "POST", *headers), 404, "OrderNotFound")
        self.refused(sim.curl("/v1/order/status", "-X", "POST", *headers), 400, "InvalidNonce")

    def test_a_replayed_order_is_refused_and_placed_once(self):
        sim = self.start()
        payload = json.dumps({"request": "/v1/order/new", "nonce": "77", "symbol": "ethusd", "amount": "1",
                              "price": "2000", "side": "sell", "type": "exchange limit"})
        self.assertEqual(sim.post("/v1/order/new", payload)[0], 200)
        replay = sim.post("/v1/order/new", payload)
        self.refused(replay, 400, "InvalidNonce")
        self.assertEqual(replay[1]["message"],
                         "Nonce '77' has not increased since your last call to the Gemini API.")
        self.assertEqual(len(sim.call("/v1/orders")[1]), 1)

    def test_forgeries_are_refused(self):
        sim = self.start()
        payload = '{"request":"/v1/balances","nonce":1}'
        self.refused(sim.post("/v1/balances", payload, secret="1234abce"), 400, "InvalidSignature")
        self.refused(sim.post("/v1/balances", payload, key="account-nobody"), 400, "InvalidApiKey")
        self.refused(sim.post("/v1/orders", payload), 400, "EndpointMismatch")
        self.refused(sim.curl("/v1/balances", "-X", "POST"), 401, "MissingApikeyHeader")
        self.refused(sim.curl("/v1/balances", *sim.headers(payload)), 404, "EndpointNotFound")  # GET

    def test_the_unix_socket_serves_the_same_exchange(self):
        sim = self.start()
        self.assertEqual(stat.S_IMODE(os.stat(sim.path("s")).st_mode), 0o600)
        payload = '{"request":"/v1/heartbeat","nonce":5}'
        answer = sim.curl("/v1/heartbeat", "--unix-socket", sim.path("s"), "-X", "POST", *sim.headers(payload))
        self.assertEqual(answer, (200, {"result": "ok"}))
        self.refused(sim.post("/v1/heartbeat", payload), 400, "InvalidNonce")

    def test_broken_http_does_not_kill_it(self):
        sim = self.start()
        head = b"POST /v1/balances HTTP/1.1\r\nHost: x\r\n"
        for name, data, begins in [
                ("noise", os.urandom(64) + b"\r\n\r\n", b"HTTP/1.1 400 "),
                ("header bomb", head + b"X-Bomb: " + b"x" * 20_000 + b"\r\n\r\n", b"HTTP/1.1 431 "),
                ("many headers", head + b"A: b\r\n" * 10_000 + b"\r\n", b"HTTP/1.1 431 "),
                ("half request", head + b"Content-Length: 10\r\n\r\nhalf", b"HTTP/1.1 400 "),
                ("half headers", head + b"X-GEMINI-APIK", b"HTTP/1.1 400 "),
                ("huge body", head + b"Content-Length: 10000000000\r\n\r\n", b"HTTP/1.1 413 "),
                ("nothing", b"", b"")]:
            with self.subTest(name):
                self.assertTrue(sim.raw(data).startswith(begins), name)
                self.assertIsNone(sim.process.poll())
                self.assertEqual(sim.call("/v1/heartbeat")[0], 200)
        held = [socket.create_connection(("127.0.0.1", sim.port)) for _ in range(50)]
        for connection in held:
            connection.sendall(head)
        self.assertEqual(sim.call("/v1/heartbeat")[0], 200)
        self.assertEqual(sim.stop(), 0)  # Half requests do not hold it up.
        for connection in held:
            connection.close()

    def test_the_journal_tells_each_request_and_no_secret(self):
        sim = self.start()
        sim.call("/v1/heartbeat")
        payload = '{"request":"/v1/order/new","nonce":"5000"}'
        sim.post("/v1/order/new", payload)
        sim.post("/v1/balances", payload, key="account-nobody")
        told = [(e["key"], e["request"], e["nonce"], e["verdict"], e["reason"], e["status"]) for e in sim.journal()]
        self.assertEqual(told, [
            ("account-e2e", "/v1/heartbeat", "1001", "accepted", None, 200),
            ("account-e2e", "/v1/order/new", "5000", "refused", "MissingOrderField", 400),
            (None, "/v1/balances", None, "refused", "InvalidApiKey", 400)])
        with open(sim.path("journal")) as lines:
            text = lines.read()
        for secret in [SECRET, openssl_hmac(base64.b64encode(payload.encode()).decode())]:
            self.assertFalse(secret in text, "the journal holds a secret or a signature")
        self.assertEqual(stat.S_IMODE(os.stat(sim.path("journal")).st_mode), 0o600)

    def test_it_says_when_it_is_ready_and_leaves_nothing_but_files(self):
        sim = self.start("--json")
        self.assertEqual(json.loads(sim.ready), {"ready": True, "listen": "127.0.0.1:%d" % sim.port,
                                                 "port": sim.port, "unix": sim.path("s")})
        self.assertEqual(sim.stop(), 0)
        self.assertFalse(os.path.exists(sim.path("s")))

    def test_misuse_is_refused_with_a_sentence_and_status_2(self):
        with tempfile.TemporaryDirectory() as directory:
            keys = os.path.join(directory, "keys.toml")
            with open(keys, "w") as file:
                file.write('[[key]]\nid = "a"\nsecret = "sesame"\nroles = ["king"]\n')
            good = os.path.join(directory, "good.toml")
            with open(good, "w") as file:
                file.write('[[key]]\nid = "a"\nsecret = "sesame"\nroles = ["trader"]\n')
            with socket.socket() as taken:
                taken.bind(("127.0.0.1", 0))
                taken.listen()
                for arguments, says in [
                        ([], "--keys"),
                        (["--keys", good, "--frobnicate"], "frobnicate"),
                        (["--keys", "/nonexistent"], "/nonexistent"),
                        (["--keys", keys], "keys.toml:4:"),
                        (["--keys", good, "--listen", "0.0.0.0:0"], "this machine only"),
                        (["--keys", good, "--listen", "192.0.2.1:80"], "this machine only"),
                        (["--keys", good, "--listen", "127.0.0.1:99999"], "0 to 65535"),
                        (["--keys", good, "--listen", "127.0.0.1:"], "0 to 65535"),
                        (["--keys", good, "--listen", "127.0.0.1:0x"], "0 to 65535"),
                        (["--keys", good, "--listen", "127.0.0.1:%d" % taken.getsockname()[1]], "in use"),
                        (["--keys", good, "--unix", directory + "/" + "x" * 120], "too long"),
                        (["--keys", good, "--unix", directory + "/s", "--port-file", directory + "/p"], "--listen"),
                        (["--keys", good, "--journal", "/nonexistent/j"], "/nonexistent/j")]:
                    with self.subTest(arguments):
                        done = subprocess.run([SIM, *arguments], capture_output=True, text=True, timeout=10)
                        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                        self.assertIn(says, done.stderr)
                        self.assertNotIn("sesame", done.stderr)

    def test_it_stops_with_status_3_when_the_journal_cannot_be_written(self):
        sim = self.start(journal="/dev/full")
        sim.call("/v1/heartbeat")
        self.assertEqual(sim.process.wait(timeout=10), 3)

    def test_help_shows_an_example(self):
        done = subprocess.run([SIM, "--help"], capture_output=True, text=True, timeout=10)
        self.assertEqual(done.returncode, 0)
        self.assertIn("Example:", done.stdout)


if __name__ == "__main__":
    SIM = sys.argv.pop(1)
    unittest.main()

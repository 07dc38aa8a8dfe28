"""A client of the exchange that shares nothing with gemini-sim: Python's HTTP, JSON and HMAC.

Sim runs the program in a directory of its own; Client signs for one key and keeps its nonces.
"""
import base64
import hashlib
import hmac
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile

SECRET = "conformance-api-secret"
PROGRAM = ""


def take_program():
    """The path of gemini-sim, taken out of sys.argv before unittest reads it."""
    global PROGRAM
    PROGRAM = os.path.abspath(sys.argv.pop(1))


def sign(payload, secret=SECRET):
    text = base64.b64encode(payload.encode()).decode()
    return text, hmac.new(secret.encode(), text.encode(), hashlib.sha384).hexdigest()


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("sim", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Sim:
    """A running gemini-sim with this keys file, and with a control socket where one is wanted."""

    def __init__(self, keys, *options, control=False):
        self.directory = tempfile.TemporaryDirectory(prefix="gemini-sim-")
        with open(self.path("keys.toml"), "w") as file:
            file.write(keys)
        if control:
            options += ("--control", self.path("control"))
        self.process = subprocess.Popen(
            [PROGRAM, "--keys", self.path("keys.toml"), "--listen", "127.0.0.1:0", "--unix", self.path("s"),
             "--port-file", self.path("port"), "--journal", self.path("journal"), *options],
            stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()
        with open(self.path("port")) as port:
            self.port = int(port.read())

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def connect(self, source="127.0.0.1"):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20, source_address=(source, 0))

    def control(self, method, path, body=None):
        connection = UnixConnection(self.path("control"))
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def journal(self):
        with open(self.path("journal")) as lines:
            return [json.loads(line) for line in lines]

    def clean_up(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(timeout=10)
        self.process.stdout.close()
        self.directory.cleanup()


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.text = response.read().decode()
        self.body = json.loads(self.text)

    @property
    def reason(self):
        return self.body.get("reason") if isinstance(self.body, dict) else None


class Client:
    """One API key over a connection of its own for each request, or over the one that is given."""

    nonce = 1_800_000_000_000  # Of all clients: they may share a key.

    def __init__(self, sim, key, secret=SECRET, source="127.0.0.1", unix=False):
        self.sim, self.key, self.secret, self.source, self.unix = sim, key, secret, source, unix

    def connect(self):
        return UnixConnection(self.sim.path("s")) if self.unix else self.sim.connect(self.source)

    def payload(self, path, members):
        Client.nonce += 1
        return json.dumps({"request": path, "nonce": Client.nonce, **members})

    def headers(self, payload):
        text, signature = sign(payload, self.secret)
        return {"X-GEMINI-APIKEY": self.key, "X-GEMINI-PAYLOAD": text, "X-GEMINI-SIGNATURE": signature,
                "Content-Type": "text/plain", "Content-Length": "0", "Cache-Control": "no-cache"}

    def send(self, path, headers, method="POST", connection=None):
        own = connection or self.connect()
        try:
            own.request(method, path, headers=headers)
            return Answer(own.getresponse())
        finally:
            if connection is None:
                own.close()

    def raw(self, path, payload, **how):
        return self.send(path, self.headers(payload), **how)

    def call(self, path, connection=None, **members):
        return self.raw(path, self.payload(path, members), connection=connection)

"""Debian's Chromium without a window, driven over a pipe in its own protocol (--remote-debugging-pipe): what a page
asks for, what it complains of, how it looks. Nothing but the standard library."""
import base64
import json
import os
import shutil
import struct
import subprocess
import tempfile
import time
import zlib

PROGRAM = shutil.which("chromium")
DEADLINE = 60


class Chromium:
    def __init__(self):
        self._profile = tempfile.TemporaryDirectory(prefix="hsm-chromium-")
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        # The protocol's descriptors are 3 and 4. A shell puts them there: pass_fds cannot renumber, and a function
        # between fork and exec is not safe.
        command = f"exec 3<&{to_browser} 4>&{from_browser}; exec \"$@\""
        arguments = [PROGRAM, "--headless=new", "--remote-debugging-pipe", "--disable-gpu", "--no-first-run",
                     "--disable-background-networking", "--disable-component-update", "--disable-sync",
                     "--disable-dev-shm-usage", "--hide-scrollbars", f"--user-data-dir={self._profile.name}"]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")  # It refuses root otherwise.
        self._process = subprocess.Popen(["bash", "-c", command, "bash", *arguments, "about:blank"],
                                         pass_fds=(to_browser, from_browser), stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self._buffer, self._last, self._session = b"", 0, None
        self.events = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self):
        try:
            self._session = None
            self.call("Browser.close")
            self._process.wait(10)
        except (OSError, subprocess.TimeoutExpired, RuntimeError):
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)
        self._profile.cleanup()

    def _receive(self):
        while b"\0" not in self._buffer:
            part = os.read(self._read, 1 << 20)
            if not part:
                raise RuntimeError("chromium has ended")
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def call(self, method, **parameters):
        self._last += 1
        request = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            request["sessionId"] = self._session
        os.write(self._write, json.dumps(request).encode() + b"\0")
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until:
            message = self._receive()
            if message.get("id") != self._last:
                self.events.append(message)
                continue
            if "error" in message:
                raise RuntimeError(f"{method}: {message['error']}")
            return message["result"]
        raise RuntimeError(f"{method}: no answer")

    def open(self, path):
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        until = time.monotonic() + DEADLINE
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            if time.monotonic() > until:
                raise RuntimeError("the page does not load")
            self.events.append(self._receive())

    def size(self, width, height, dark=False, media=""):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", media=media,
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def evaluate(self, expression):
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def screenshot(self):
        """The whole page, as PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    def requests(self):
        return [event["params"]["request"]["url"] for event in self.events
                if event.get("method") == "Network.requestWillBeSent"]

    def complaints(self):
        """What stands on the console, and exceptions."""
        return [event for event in self.events
                if event.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")]


def pixels(png):
    """Width, and the bytes of all rows: RGB or RGBA of 8 bits, as Chromium writes them."""
    at, data, header = 8, b"", None
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at:at + 8])
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", png[at + 8:at + 8 + size])
        if kind == b"IDAT":
            data += png[at + 8:at + 8 + size]
        at += 12 + size
    width, height, depth, colour, *_, interlaced = header
    assert depth == 8 and colour in (2, 6) and not interlaced
    return width, height, 3 if colour == 2 else 4, _unfiltered(zlib.decompress(data), width, height, 3 if colour == 2 else 4)


def _unfiltered(raw, width, height, step):
    """PNG, section 9.2."""
    size, out = width * step, []
    above = bytearray(size)
    for row in range(height):
        begin = row * (size + 1)
        kind, line = raw[begin], bytearray(raw[begin + 1:begin + 1 + size])
        if kind == 2:
            line = bytearray((x + up) & 255 for x, up in zip(line, above))
        elif kind:
            for i in range(size):
                left = line[i - step] if i >= step else 0
                corner = above[i - step] if i >= step else 0
                line[i] = (line[i] + _guess(kind, left, above[i], corner)) & 255
        out.append(bytes(line))
        above = line
    return out


def _guess(kind, left, up, corner):
    if kind == 1:
        return left
    if kind == 3:
        return (left + up) // 2
    nearest = left + up - corner
    return min((left, up, corner), key=lambda one: abs(nearest - one))


def count_colour(png, colour):
    """How many pixels have just this colour."""
    _, _, step, rows = pixels(png)
    wanted = bytes(colour)
    return sum(row[i:i + 3] == wanted for row in rows for i in range(0, len(row), step))

#!/usr/bin/env python3
"""hsm-signerctl audit report in real Chromium: it loads without a complaint or a request, its charts are drawn, it fits a
phone, and nothing that a hostile client wrote becomes part of the page.

HSM_REPORT_SCREENSHOTS=DIR keeps what it looked like.
"""
import datetime
import os
import pathlib
import random
import subprocess
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer

import chromium
from audited import TOP, Lines, Signer, digest

CTL = pathlib.Path(os.environ.get("HSM_SIGNER_BIN", TOP / "build/release/bin")) / "hsm-signerctl"
BEGIN = datetime.datetime(2026, 3, 1, tzinfo=datetime.timezone.utc)
BLUE = {"light": (0x25, 0x63, 0xb0), "dark": (0x6b, 0xa5, 0xee)}  # --s0 of report.css
CLIENTS = ("mm-bot", "arb-bot", "treasury", "risk", "reporting")
KEYS = ("desk-a.trade", "desk-b.trade", "desk-a.funds", "audit.read")


class Hits(BaseHTTPRequestHandler):
    """What the hostile names point at."""
    seen = []

    def do_GET(self):
        Hits.seen.append(self.path)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def fortnight(hostile):
    """Two weeks of a desk: busy by day, an incident, officers, a new policy, a hostile client."""
    chance, log = random.Random(5), Lines(BEGIN)
    log.start()
    for key in KEYS:
        log.key("register", key)
        log.key("activate", key)
    for day in range(14):
        for hour in range(24):
            busy = 14 if 8 <= hour < 20 else 3
            for _ in range(chance.randrange(busy)):
                client, key = chance.choices(CLIENTS, (60, 25, 3, 2, 10))[0], chance.choices(KEYS, (50, 30, 3, 12))[0]
                fields = {"symbol": "btcusd", "side": "buy", "amount": "0.5", "price": "30000"}
                log.allow(client, key, "/v1/order/new", "trade", fields, "market maker trades btc and eth")
                if chance.random() < .06:
                    log.refuse(client, key, "/v2/withdraw/{network}/{ticker}", "move", "treasury withdrawals",
                               chance.choice(("denied", "rate_limited", "approval_required")), "the rule says no")
            log.wait(3600)
        if day == 4:
            log.admin("freeze", "key:desk-a.trade", reason="fat finger: 500 instead of 5.00")
            log.refuse("mm-bot", "desk-a.trade", "/v1/order/new", "trade", "", "frozen", "desk-a.trade is frozen")
            log.admin("thaw", "key:desk-a.trade", reason="prices are right again", statement="t-2026-03-05-1",
                      officers="alice,bob", detail="was frozen")
        if day == 8:
            log.admin("approval_asked", "client:treasury key:desk-a.funds", detail="20 btc to bc1q\u2026")
            log.admin("approval_signed", "client:treasury key:desk-a.funds", statement="a-17", officers="alice")
            log.admin("approval_released", "client:treasury key:desk-a.funds", statement="a-17", officers="alice,bob")
            log.admin("reload", "policy", statement="p-3", officers="alice,carol", text_sha256=digest("policy 2"))
    log.refuse(hostile, hostile, "", "", hostile, "denied", hostile)
    log.admin("freeze", hostile, reason=hostile, officers=hostile, detail=hostile)
    log.stop("SIGTERM")
    return log


@unittest.skipUnless(chromium.PROGRAM, "chromium is not installed: .ci/packages.sh, group test")
class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory(prefix="hsm-report-")
        cls.addClassCleanup(scratch.cleanup)
        top = pathlib.Path(scratch.name)
        server = HTTPServer(("127.0.0.1", 0), Hits)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        cls.addClassCleanup(server.server_close)
        cls.addClassCleanup(server.shutdown)
        where = f"http://127.0.0.1:{server.server_port}"
        hostile = (f"\"'><img src={where}/image onerror=document.title='taken'><script src={where}/script></script>"
                   "<style>*{display:none}</style></title></style></svg>\u202e")
        cls.signer = Signer(top)
        cls.page = top / "report.html"
        log = fortnight(hostile)
        log.write(top / "audit", cls.signer, len(log.lines) - 2)
        run = subprocess.run([str(CTL), "audit", "report", str(top / "audit"), "--key", cls.signer.public, "-o", str(cls.page)],
                             capture_output=True, check=False)
        assert run.returncode == 0, run.stderr
        cls.browser = chromium.Chromium()
        cls.addClassCleanup(cls.browser.close)

    def show(self, width, height, name, **looks):
        self.browser.size(width, height, **looks)
        self.browser.open(self.page)
        shot = self.browser.screenshot()
        if keep := os.environ.get("HSM_REPORT_SCREENSHOTS"):
            (pathlib.Path(keep) / f"{name}.png").write_bytes(shot)
        return shot

    def assert_quiet(self):
        self.assertEqual(self.browser.complaints(), [])
        self.assertEqual(self.browser.requests(), [self.page.as_uri()])
        self.assertEqual(Hits.seen, [])
        self.assertEqual(self.browser.evaluate("document.title"), "Audit report")

    def test_draws_its_charts_without_a_complaint_or_a_request(self):
        shot = self.show(1200, 900, "desktop")
        self.assert_quiet()
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('svg').length"), 3)
        tall = "[...document.querySelectorAll('svg rect')].filter(r => r.getBoundingClientRect().height >= 1).length"
        self.assertGreater(self.browser.evaluate(tall), 40)
        self.assertGreater(chromium.count_colour(shot, BLUE["light"]), 2000)

    def test_fits_a_phone(self):
        shot = self.show(375, 800, "phone")
        self.assert_quiet()
        self.assertLessEqual(self.browser.evaluate("document.documentElement.scrollWidth"), 375)
        self.assertGreater(chromium.count_colour(shot, BLUE["light"]), 500)
        small = "Math.min(...[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height))"
        self.assertGreater(self.browser.evaluate(small), 8)

    def test_is_dark_where_that_is_liked(self):
        shot = self.show(1200, 900, "dark", dark=True)
        self.assert_quiet()
        self.assertGreater(chromium.count_colour(shot, BLUE["dark"]), 2000)
        self.assertEqual(self.browser.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(18, 22, 29)")

    def test_prints_in_ink_on_paper(self):
        self.show(794, 1123, "print", dark=True, media="print")
        self.assert_quiet()
        self.assertEqual(self.browser.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)")

    def test_has_nothing_of_a_hostile_client_but_its_text(self):
        self.show(1200, 900, "hostile")
        self.assert_quiet()
        for tag in ("img", "script", "iframe", "object", "link", "a"):
            self.assertEqual(self.browser.evaluate(f"document.querySelectorAll('{tag}').length"), 0, tag)
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('style').length"), 1)
        self.assertIn("<img src=http", self.browser.evaluate("document.body.innerText"))


if __name__ == "__main__":
    unittest.main()

"""A PKCS#11 module that misbehaves in every way that one can, under the real daemons and a steady load: each answer is
right or a clear error by its deadline, and the other worker does not notice.

HSM_FAULT_SIGNATURES: requests for each fault (400 here; the long form has 10,000 and compares the other worker's
latencies)."""

import collections
import json
import os
import re
import signal
import time
import unittest

import paced
import wire
from harness import BIN, SOFTHSM, Directory, sanitized, wait_until

SIGNATURES = int(os.environ.get("HSM_FAULT_SIGNATURES", "400"))
LONG = SIGNATURES >= 10_000
RATE = 1_000
DEADLINE_MS = 2_000
# A frame whose worker died is refused when that is seen; nothing may take longer than its deadline but the way back.
GRACE = 5 if sanitized() else 0.5  # A sanitizer's program and its reports may hold the machine up.
CALL_DEADLINE_MS = 1_000
CANARY = 64  # Signatures of one worker: docs/tokens.md.
HONEST = {"token_unavailable", "deadline_exceeded", "overloaded"}
KEYS = {"key%d" % number: "secret-of-key-%d-%s" % (number, "x" * number) for number in range(8)}
FAULT_MODULE = os.path.join(os.path.dirname(BIN), "lib", "libhsm_fault_module.so")

# `%(rare)d` is once in a tenth of the requests of one worker, `%(often)d` once in forty calls.
RARELY, OFTEN = "rank 1 %s one-in %%(rare)d %s", "rank 1 %s one-in %%(often)d %s"


def each(template, call, *errors):
    return [template % (call, "rv " + rv) for rv in errors]


# Faults of one worker, the first to sign (rank 0 is the admin worker's): {name: (ends workers, rules one after the other)}.
# What ends the worker stands alone: together they would end it as many times more often.
ONE_WORKER = {
    "latency, 1 to 20 ms": (False, [OFTEN % ("C_Sign", "delay 1000 20000")]),
    "hang": (True, [RARELY % ("C_Sign", "hang")]),
    "hang in C_SignInit": (True, [RARELY % ("C_SignInit", "hang")]),
    "SIGSEGV": (True, [RARELY % ("C_Sign", "segv")]),
    "abort": (True, [RARELY % ("C_Sign", "abort")]),
    "exit": (True, [RARELY % ("C_Sign", "exit")]),
    "MAC of 47 bytes": (False, [OFTEN % ("C_Sign", "short")]),
    "writes behind the MAC": (False, ["rank 1 C_Sign from 1 overrun 80"]),
    "logout": (True, [RARELY % ("C_SignInit", "logout")]),
    "removed for 300 ms": (True, [RARELY % ("C_SignInit", "remove 300")]),
    "errors that pass": (False, ["\n".join(each(OFTEN, "C_SignInit", "CKR_GENERAL_ERROR", "CKR_FUNCTION_FAILED",
                                                "CKR_FUNCTION_CANCELED"))]),
    "handles that die": (False, ["\n".join(each(OFTEN, "C_SignInit", "CKR_OBJECT_HANDLE_INVALID",
                                                "CKR_KEY_HANDLE_INVALID"))]),
    "errors of the request": (False, ["\n".join(each(OFTEN, "C_SignInit", "CKR_DATA_LEN_RANGE",
                                                     "CKR_KEY_FUNCTION_NOT_PERMITTED", "CKR_MECHANISM_INVALID",
                                                     "CKR_ARGUMENTS_BAD"))]),
    "sessions and logins that die": (True, each(RARELY, "C_SignInit", "CKR_SESSION_HANDLE_INVALID",
                                                "CKR_USER_NOT_LOGGED_IN", "CKR_SESSION_CLOSED", "CKR_OPERATION_ACTIVE")),
    "devices that die": (True, each(RARELY, "C_Sign", "CKR_DEVICE_ERROR", "CKR_DEVICE_MEMORY", "CKR_TOKEN_NOT_PRESENT",
                                    "CKR_HOST_MEMORY")),
}


class Faulty(Directory):
    """Signing workers over a module with faults."""

    def begin(self):
        # Imports first: on a busy machine an RSA operation takes longer than a call may below.
        self.ctl("up")
        for name, secret in KEYS.items():
            self.import_key(name, api_key="account-" + name, secret=secret)
        self.ctl("down")
        with open(self.file("dev.toml")) as text:
            content = text.read()
        content = re.sub(r'^module = .*$', 'module = "%s"\ncall_deadline_ms = %d' % (FAULT_MODULE, CALL_DEADLINE_MS),
                         content, flags=re.M)
        content = content.replace("module_env = {", 'module_env = { HSM_FAULT_MODULE = "%s", '
                                  'HSM_FAULT_CONTROL = "%s", ' % (SOFTHSM, self.file("rules")))
        # The module keeps its ranks beside its rules.
        content = content.replace("module_writes = [", 'module_writes = ["%s", ' % self.dir)
        with open(self.file("dev.toml"), "w") as text:
            text.write(content)
        self.ctl("up")
        self.all_workers()

    def rules(self, text):
        self.given = text
        with open(self.file("rules.new"), "w") as new:
            new.write(text + "\n")
        os.rename(self.file("rules.new"), self.file("rules"))

    def token(self):
        """As the signer sees it; its exit status says whether all is well."""
        return self.json("status", check=False)["tokens"][0]

    def all_workers(self, seconds=60):
        """Seconds until the signer has them."""
        begun = time.monotonic()
        wait_until(lambda: self.token()["workers"] == self.wanted, seconds, "the workers are up")
        return time.monotonic() - begun

    def signed(self):
        return [record for record in self.audit_records()
                if record["kind"] == "sign" and record["verdict"] == "allow"]

    def never_struck(self):
        """Of the rules that hold; the module writes down each that strikes (tests/fault_module/struck.h)."""
        struck = set()
        if os.path.exists(self.file("rules.struck")):
            with open(self.file("rules.struck")) as lines:
                struck = {line.rpartition(" ")[0] for line in lines}
        return [rule for rule in self.given.splitlines() if rule not in struck]


def rules_of(text):
    return text % {"rare": max(2, SIGNATURES // 20), "often": 40}


class OneFaultyWorker(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.at = Faulty(workers=2)
        cls.addClassCleanup(cls.at.close)

    def setUp(self):
        self.addCleanup(self.at.rules, "")
        self.load = paced.Paced(self.at.socket, KEYS, RATE, DEADLINE_MS)
        self.addCleanup(self.load.close)

    def test_each_fault_gives_right_answers_or_clear_errors_in_time(self):
        print("\n%-30s %7s %7s %6s %9s %9s %9s %9s" % ("fault of one worker", "right", "errors", "lost", "recovery",
                                                      "slowest", "other p99", "ratio"))
        for name, (ends, rules) in ONE_WORKER.items():
            with self.subTest(fault=name):
                self.one(name, ends, rules)

    def suffered(self, rules):
        """The answers under one rule after the other, which strike as often as one alone would; and the longest way back."""
        answers, recovery = [], 0
        for text in rules:
            self.at.rules(rules_of(text))
            for _ in range(5):  # Where there are several, one may have to wait for its turn.
                answers += self.load.run(SIGNATURES // len(rules), DEADLINE_MS / 1000 + GRACE)
                if not self.at.never_struck():
                    break
            self.assertEqual(self.at.never_struck(), [])
            self.at.rules("")
            recovery = max(recovery, self.at.all_workers())
        return answers, recovery

    def one(self, name, ends, rules):
        quiet = self.load.run(SIGNATURES // 2, DEADLINE_MS / 1000)
        self.assertEqual({answer.code for answer in quiet}, {""})
        sound = self.sound_worker(quiet)
        lost_before = self.at.logs().count("worker_lost")
        faulty, recovery = self.suffered(rules)
        quiet += self.load.run(SIGNATURES // 2, DEADLINE_MS / 1000)
        self.judge(faulty)
        lost = self.at.logs().count("worker_lost") - lost_before
        if ends:
            self.assertGreater(lost, 0, "no worker was lost")
        p99s = [self.p99_of(sound, phase) for phase in (quiet, faulty)]
        codes = collections.Counter(answer.code for answer in faulty)
        print("%-30s %7d %7d %6d %7.2f s %7.0f ms %6.0f us %9.2f  %s" % (
            name, codes[""], len(faulty) - codes[""], lost, recovery, 1e3 * max(a.seconds for a in faulty), p99s[1],
            p99s[1] / p99s[0], {code: number for code, number in codes.items() if code}))
        if LONG:
            self.assertLessEqual(p99s[1] / p99s[0], 1.5, name)

    def judge(self, answers):
        late = [answer for answer in answers if answer.seconds is None]
        self.assertEqual(len(late), 0, "requests hang")
        self.assertLess(max(answer.seconds for answer in answers), DEADLINE_MS / 1000 + GRACE)
        codes = {answer.code for answer in answers}
        self.assertNotIn("wrong", codes)
        self.assertLessEqual(codes - {""}, HONEST)
        # What the client was given is written down.
        recorded = {record["seq"] for record in self.at.signed()}
        self.assertLessEqual({answer.seq for answer in answers if answer.code == ""}, recorded)

    def records_of(self, answers):
        seqs = {answer.seq for answer in answers if answer.code == ""}
        return [record for record in self.at.signed() if record["seq"] in seqs]

    def sound_worker(self, quiet):
        """The id of the worker that no rule is for: the one that a delay of the other leaves alone."""
        self.at.rules("rank 1 C_Sign from 1 delay 3000 3000")
        slowed = self.records_of(self.load.run(64, 5))
        self.at.rules("")
        fastest = collections.defaultdict(lambda: 1 << 60)
        for record in slowed:
            fastest[record["worker"]] = min(fastest[record["worker"]], record["latency_us"])
        self.assertEqual(len(fastest), 2, "both workers sign")
        slow, fast = max(fastest, key=fastest.get), min(fastest, key=fastest.get)
        self.assertGreater(fastest[slow], 3_000)
        self.assertLess(fastest[fast], 3_000)
        return fast

    def p99_of(self, worker, answers):
        """Of the worker's own requests: one whose key still waits for the other worker (nonces leave in order) says
        nothing of this one."""
        own, last = [], {}
        workers = {record["seq"]: record["worker"] for record in self.records_of(answers)}
        for answer in answers:
            before = last.get(answer.key)
            free = before is None or before.own or before.sent + before.seconds < answer.sent
            if free and workers.get(answer.seq) == worker:
                answer.own = True
                own.append(answer)
            last[answer.key] = answer
        return paced.percentile([1e6 * answer.seconds for answer in own], 99)


class AllWorkers(unittest.TestCase):
    def setUp(self):
        self.at = Faulty(workers=2)
        self.addCleanup(self.at.close)
        self.load = paced.Paced(self.at.socket, KEYS, RATE, DEADLINE_MS)
        self.addCleanup(self.load.close)

    def honest(self, answers):
        codes = collections.Counter(answer.code for answer in answers)
        self.assertNotIn(None, codes, "requests hang")
        self.assertEqual(codes["wrong"], 0)
        self.assertLessEqual(set(codes) - {""}, HONEST)
        return codes

    def signs_again(self):
        """Seconds until a signature is right again."""
        begun = time.monotonic()

        def right():
            return self.load.run(1, 5)[0].code == ""
        wait_until(right, 60, "a right signature")
        return time.monotonic() - begun

    def test_a_token_that_forgets_its_sessions_when_idle_is_logged_in_anew(self):
        self.at.rules("limit idle 150")
        counts = collections.Counter()
        for _ in range(5):
            counts += self.honest(self.load.run(SIGNATURES // 20, 5))
            time.sleep(0.4)
        self.assertEqual(self.at.never_struck(), [])
        self.assertGreater(sum(number for code, number in counts.items() if code), 0, "nobody noticed")
        self.at.rules("")
        print("\nidle death of all sessions: %s; right again after %.2f s" % (dict(counts), self.signs_again()))

    def test_a_token_without_a_session_left_comes_back_when_there_is_one(self):
        self.at.rules("limit sessions 0\nC_Sign one-in 20 exit")
        refused = self.honest(self.load.run(SIGNATURES // 4, 5))
        self.assertGreater(refused["token_unavailable"], 0)
        wait_until(lambda: not self.at.never_struck(), what="a new worker that gets no session")
        self.at.rules("")
        print("\nno session left: %s; right again after %.2f s" % (dict(refused), self.signs_again()))

    def test_a_token_that_is_removed_refuses_at_once_and_comes_back(self):
        self.load.run(64, 5)
        self.at.rules("* from 1 rv CKR_DEVICE_REMOVED")
        removed = self.load.run(SIGNATURES // 4, 5)
        codes = self.honest(removed)
        self.assertGreater(codes["token_unavailable"], 0)
        self.assertEqual(self.at.never_struck(), [])
        self.at.rules("")
        print("\nremoved: %s; right again after %.2f s" % (dict(codes), self.signs_again()))

    def test_wrong_macs_are_found_by_the_canary_and_the_token_is_taken_out(self):
        self.taken_out("rank 1 C_Sign from %d flip" % (SIGNATURES // 20))

    @unittest.skipIf(sanitized(), "a sanitizer's heap has its own places for what was freed")
    def test_a_scribbled_heap_ends_a_worker_or_is_found_by_the_canary(self):
        self.at.rules("rank 1 C_Sign one-in 50 scribble 400")
        codes = collections.Counter(answer.code for answer in self.load.run(max(SIGNATURES, 2_000), 5))
        self.assertEqual(self.at.never_struck(), [])
        self.assertNotIn(None, codes, "requests hang")
        died = self.at.logs().count("worker_died")
        taken_out = "token_taken_out" in self.at.logs()
        print("\nscribbled heap: %s; %d workers died, taken out: %s" % (dict(codes), died, taken_out))
        self.assertTrue(died or taken_out, "nobody noticed")
        # Between two canaries, for each worker that lived.
        self.assertLessEqual(codes["wrong"], CANARY * (died + 2))

    def taken_out(self, rules):
        self.at.rules(rules)
        codes = collections.Counter(answer.code for answer in self.load.run(SIGNATURES, 5))
        print("\nwrong MACs: %s" % dict(codes))
        self.assertNotIn(None, codes, "requests hang")
        self.assertEqual(self.at.never_struck(), [])
        self.assertGreater(codes["wrong"], 0)
        self.assertLess(codes["wrong"], CANARY)
        wait_until(lambda: "token_taken_out" in self.at.logs(), 5, "the alarm")
        self.assertIn("<1>", [line for line in self.at.logs().splitlines() if "token_taken_out" in line][0])
        # For good, however sound the module claims to be.
        self.at.rules("")
        time.sleep(1)
        # A key that the liar used for the first time failed its proof: quarantined alone, before the canary came.
        refused = {answer.code for answer in self.load.run(50, 5)}
        self.assertIn("token_unavailable", refused)
        self.assertLessEqual(refused, {"token_unavailable", "quarantined"})
        status = self.at.ctl("--json", "status", check=False)
        self.assertEqual(status.returncode, 3)
        self.assertIn("signs wrongly", json.loads(status.stdout)["tokens"][0]["problem"])
        self.at.ctl("down")
        self.at.ctl("up")
        with wire.Peer(self.at.socket) as peer:
            wait_until(lambda: "code" not in peer.ask("sign_request", {1: b"key0", 2: b'{"request":"/v1/balances"}'}),
                       20, "an operator's restart brings it back")


class AfterItWasTakenOut(unittest.TestCase):
    """hsm-tokend alone is started again, on a sound module. The signer, which ran on, takes the token's word anew; what it
    holds against a key stays until `key check` has asked for that key."""

    def setUp(self):
        # One worker, so that the test knows which keys have proved themselves to it.
        self.at = Faulty(workers=1)
        self.addCleanup(self.at.close)
        self.peer = wire.Peer(self.at.socket)
        self.addCleanup(self.peer.socket.close)

    def answer(self, key):
        """"" for a right signature, "wrong", or the code of the refusal."""
        fields = self.peer.ask("sign_request", {1: key.encode(), 2: b'{"request":"/v1/balances"}',
                                                3: wire.u32(DEADLINE_MS)})
        if "code" in fields:
            return fields["code"]
        return "" if wire.signs_rightly(KEYS[key], fields[2], fields[3]) else "wrong"

    def answers(self):
        return {key: self.answer(key) for key in sorted(KEYS)}

    def health(self):
        return {item["key"]: item["health"].split(":")[0] for item in self.at.json("key", "list")["keys"]}

    def taken_out(self, known):
        """By wrong MACs, which the other keys met at their proof."""
        self.assertEqual({self.answer(key) for key in known}, {""})
        self.at.rules("C_Sign from 1 flip")
        self.assertEqual({self.answer(key) for key in KEYS if key not in known}, {"quarantined"})
        codes = collections.Counter(self.answer(known[0]) for _ in range(80))
        self.assertEqual(set(codes), {"wrong", "token_unavailable"})
        self.assertLess(codes["wrong"], CANARY)
        wait_until(lambda: "token_taken_out" in self.at.logs(), 5, "the alarm")

    def restart_the_token_host(self):
        (before,) = self.at.pids("tokend")
        os.kill(before, signal.SIGTERM)
        wait_until(lambda: not os.path.exists("/proc/%d" % before), what="the token host stops")
        self.at.ctl("up")
        self.at.all_workers()
        self.assertNotEqual(self.at.pids("tokend"), [before])

    def test_keys_sign_again_and_quarantined_ones_when_key_check_has_asked_for_them(self):
        signer, (first, *others) = self.at.pids("signerd"), sorted(KEYS)
        known, doubted = [first, *others[:3]], others[3:]
        self.taken_out(known)
        out = {**dict.fromkeys(known, "token_unavailable"), **dict.fromkeys(doubted, "quarantined")}
        self.assertEqual(self.answers(), out)
        self.at.rules("")
        self.restart_the_token_host()
        back = {**dict.fromkeys(known, ""), **dict.fromkeys(doubted, "quarantined")}
        self.assertEqual(self.answers(), back)
        self.assertEqual(self.health(), {**dict.fromkeys(known, "unchecked"), **dict.fromkeys(doubted, "quarantined")})
        self.at.ctl("key", "check", doubted[0])
        self.assertEqual(self.answers(), {**back, doubted[0]: ""})
        self.at.ctl("key", "check")
        self.assertEqual(self.answers(), dict.fromkeys(KEYS, ""))
        self.assertEqual(self.at.pids("signerd"), signer, "the signer ran on")


if __name__ == "__main__":
    unittest.main()

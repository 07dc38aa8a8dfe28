#!/usr/bin/env python3
"""Clients that mean harm, all kinds of hostile_kinds.py in one process over epoll.

    hostile.py SOCKET [--kinds a,b] [--connections N] [--again] [--beats N [--all-end]] [--seconds S] [--cpu SHARE]
                      [--key KEY]

Opens N connections, the kinds in turn; those of a storm, and with --again all, come back when they have ended. Prints
`ready` once all have been tried. Ends at SIGTERM; with --beats once it has done its work: the daemon has ended those
whom it owes an end (with --all-end everybody) and each of the others has had so many beats; after S seconds at the
latest. Then prints one line of JSON: which kinds had not done theirs, and for each kind how many connections there were,
which error codes came back, how many the daemon ended and how long the longest of these lived. `--cpu` is the share of
one processor that it allows itself, so that on a small machine it is the daemon that is measured and not the lack of
processors."""

import argparse
import collections
import contextlib
import json
import os
import selectors
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
import wire  # noqa: E402
from hostile_kinds import BEAT, KINDS, Leaves  # noqa: E402


class Tally:
    """What became of the connections of one kind."""

    def __init__(self):
        self.connections = self.refused = self.ended = self.answers = 0
        self.codes = collections.Counter()
        self.longest = 0.0

    def add(self, client, by_daemon):
        self.codes.update(client.codes)
        self.answers += client.answers
        client.codes, client.answers = [], 0
        if by_daemon:
            self.ended += 1
            self.longest = max(self.longest, client.ended - client.began)

    def report(self):
        return {"connections": self.connections, "refused": self.refused, "ended": self.ended, "answers": self.answers,
                "codes": self.codes, "longest": round(self.longest, 2)}


class Horde:
    """All connections of this process, and how much of a processor they may use."""

    def __init__(self, arguments):
        self.selector = selectors.EpollSelector()
        self.tallies = {name: Tally() for name in arguments.kinds}
        self.share, self.again = arguments.cpu, arguments.again
        self.beats, self.all_end = arguments.beats, arguments.all_end
        self.open = set()
        self.waiting = []  # Those that come again with the next beat.
        self.stopped = False
        self.began, self.used_before = time.monotonic(), time.process_time()
        kinds = [KINDS[name] for name in arguments.kinds]
        for number in range(arguments.connections):
            self.start(kinds[number % len(kinds)](arguments.socket, arguments.key.encode()))

    def tally(self, client):
        return self.tallies[type(client).__name__]

    def start(self, client):
        self.tally(client).connections += 1
        try:
            client.connect()
        except BlockingIOError:  # The listening queue is full.
            self.tally(client).refused += 1
            client.socket.close()
            self.waiting.append(client)
            return
        self.open.add(client)
        if client.reads > 1:  # The others would be readable all the time.
            self.selector.register(client.socket, selectors.EVENT_READ, client)
        self.attempt(client, client.send)
        if client in self.open:
            self.attempt(client, client.begin)

    def attempt(self, client, step):
        try:
            step()
        except BlockingIOError:
            pass
        except Leaves:
            self.finish(client, by_daemon=False)
        except (wire.Closed, OSError):
            self.finish(client, by_daemon=True)

    def finish(self, client, by_daemon):
        if by_daemon and client.reads > 1:
            # What the daemon said last may still lie there, behind the write that failed.
            with contextlib.suppress(OSError, wire.Closed):
                while True:
                    client.receive()
        if client.reads > 1:
            self.selector.unregister(client.socket)
        self.open.discard(client)
        client.close()
        self.tally(client).add(client, by_daemon)
        if client.again or self.again:
            self.waiting.append(client)

    def pace(self):
        """Sleeps off what it has used above its share."""
        used = time.process_time() - self.used_before
        ahead = used / self.share - (time.monotonic() - self.began)
        if ahead > 0.002:
            time.sleep(min(ahead, 0.5))

    def turn(self):
        for key, _ in self.selector.select(timeout=BEAT):
            if key.data in self.open:
                self.attempt(key.data, key.data.receive)
            self.pace()
        waiting, self.waiting = self.waiting, []
        for number, client in enumerate(waiting):
            if self.stopped:
                self.waiting += waiting[number:]
                return
            self.start(client)
            self.pace()
        for client in list(self.open):
            client.beats += 1
            self.attempt(client, client.move)
            self.pace()
            if self.stopped:
                return

    def unfinished(self):
        """Kinds of which somebody is yet to be ended, or has not had its beats."""
        return sorted({type(client).__name__ for client in [*self.open, *self.waiting]
                       if self.all_end or client.patience or client.beats < self.beats})

    def run(self, seconds):
        self.began, self.used_before = time.monotonic(), time.process_time()
        print("ready", flush=True)
        while not self.stopped and time.monotonic() < self.began + seconds:
            if self.beats and not self.unfinished():
                break
            self.turn()
        self.report()

    def report(self):
        wall = time.monotonic() - self.began
        for client in self.open:
            self.tally(client).add(client, by_daemon=False)
        said = {name: tally.report() for name, tally in self.tallies.items()}
        print(json.dumps({"kinds": said, "unfinished": self.unfinished(), "open": len(self.open), "seconds": round(wall, 1),
                          "cpu": round((time.process_time() - self.used_before) / wall, 3)}), flush=True)


def main():
    parser = argparse.ArgumentParser(description="Clients that mean harm.")
    parser.add_argument("socket")
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=list(KINDS))
    parser.add_argument("--connections", type=int, default=len(KINDS))
    parser.add_argument("--beats", type=int, default=0)
    parser.add_argument("--all-end", action="store_true", help="the daemon owes everybody an end")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--cpu", type=float, default=1.0)
    parser.add_argument("--again", action="store_true", help="every kind connects anew when it was ended")
    parser.add_argument("--key", default="hostile")
    arguments = parser.parse_args()
    horde = Horde(arguments)

    def stop(*_):
        horde.stopped = True
    signal.signal(signal.SIGTERM, stop)
    horde.run(arguments.seconds)


if __name__ == "__main__":
    main()

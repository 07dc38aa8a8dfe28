"""A trading program that signs without a pause, `depth` requests under way at any time: for tests that look at the
daemons under load. Holds no secret, as such a program does not.

usage: load_client.py SOCKET DEPTH KEY…

Prints how many are signed, a line each time 500 more are; ends once its standard input does, with what was refused:
{"signed": 20000, "refused": {"code: sentence": 2}}
"""

import collections
import json
import os
import select
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire  # noqa: E402

STEP = 500
ORDER = ('{"request":"/v1/order/new","symbol":"btcusd","amount":"1","price":"%d.50","side":"buy",'
         '"type":"exchange limit","client_order_id":"under-load-%d"}')


def told_to_end():
    return bool(select.select([0], [], [], 0)[0])


def run(path, depth, keys):
    signed, refused, asked = 0, collections.Counter(), 0
    with wire.Peer(path, timeout=120) as peer:
        open_requests = 0
        ending = False
        while not ending or open_requests:
            batch = b""
            while not ending and open_requests < depth:
                asked += 1
                batch += wire.frame("sign_request", asked, {1: keys[asked % len(keys)].encode(),
                                                            2: (ORDER % (asked % 1000 + 1, asked)).encode()})
                open_requests += 1
            if batch:
                peer.send(batch)
            kind, _, fields = peer.receive()
            open_requests -= 1
            if kind == wire.ERROR:
                refused["%s: %s" % (fields[1].decode(), fields[2].decode())] += 1
                continue
            assert len(fields[3]) == 96, "a signature of %d digits" % len(fields[3])
            signed += 1
            if signed % STEP == 0:
                print(signed, flush=True)
                ending = told_to_end()
    print(json.dumps({"signed": signed, "refused": refused}), flush=True)


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), sys.argv[3:])

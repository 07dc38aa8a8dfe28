"""gemini-sim, taking what hsm-signerd has signed."""

import os
import sys

from harness import program

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "sim"))
import client

client.PROGRAM = program("gemini-sim")


class Exchange(client.Sim):
    def __init__(self, keys, skew_ms=0):
        super().__init__(keys, "--skew-ms=%d" % skew_ms, control=True)

    def send(self, request, signed, connection=None):
        own = connection or self.connect()
        try:
            own.request("POST", request["request"], headers={**signed["headers"], "Content-Length": "0"})
            return client.Answer(own.getresponse())
        finally:
            if own is not connection:
                own.close()

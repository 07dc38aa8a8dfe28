"""What a scan has seen of one target."""

import os

# Small enough that of a memory which is looked at again and again, little has to be searched each time.
PIECE = 1 << 16


class CannotLook(Exception):
    """A target that nothing can be said about."""


class Report:
    """What was seen of one target."""

    def __init__(self, kind, target):
        self.kind, self.target = kind, str(target)
        self.bytes = self.parts = self.vanished = self.kernels = self.swapped = 0
        self.hits, self.unreadable = [], []

    def take(self, stream, name):
        """name(offset) → (region, offset in it)."""
        self.bytes += stream.bytes
        for found in stream.found():
            where, offset = name(found.offset)
            self.hits.append({"form": found.form, "where": where, "offset": offset, "first": found.first,
                              "last": found.last, "of": found.of})

    def forms(self):
        return {hit["form"] for hit in self.hits}

    def complete(self):
        return not self.unreadable

    def as_json(self):
        return {"kind": self.kind, "target": self.target, "bytes": self.bytes, "parts": self.parts,
                "vanished": self.vanished, "kernels_own": self.kernels, "swapped_pages": self.swapped,
                "unreadable": self.unreadable, "hits": self.hits}

    def __str__(self):
        lines = ["%s %s: %.1f MB in %d parts, %s" % (self.kind, self.target, self.bytes / 1e6, self.parts,
                                                     "FOUND" if self.hits else "nothing found")]
        for number, what in ((self.vanished, "went away meanwhile"), (self.kernels, "are the kernel's own"),
                             (self.swapped, "pages came from the swap")):
            if number:
                lines[0] += "; %d %s" % (number, what)
        lines += ["  %(form)s: bytes %(first)d to %(last)d of %(of)d, in %(where)s at 0x%(offset)x" % hit
                  for hit in self.hits]
        return "\n".join(lines + ["  could not look at %s" % name for name in self.unreadable])


def shown(finder, text):
    return "(a name that holds the secret)" if finder.holds(text) else text


def feed_file(stream, descriptor):
    offset = 0
    while data := os.pread(descriptor, PIECE, offset):
        stream.feed(offset, data)
        offset += len(data)

#!/usr/bin/env python3
"""docs/protocol.md against tests/vectors/wire.json: each message has its section, each section the message's
fields with their kinds, and no section describes what is not there.

usage: check_protocol_doc.py wire.json protocol.md
"""
import json
import re
import sys

ROW = re.compile(r"^\| (\d+) \| (\w+) \| (\w+) \| (required|optional) \|", re.M)


def add_fields(into, fields):
    """Fields by (tag, name, kind); of lists, the records' fields behind the message's own."""
    for field in fields:
        into.add((field["tag"], field["name"], field["kind"]))
    for field in fields:
        if field["kind"] == "list":
            for record in field["value"]:
                add_fields(into, record)


def documented(text):
    sections = {}
    for section in re.split(r"^### ", text, flags=re.M)[1:]:
        section = re.split(r"^## ", section, flags=re.M)[0]
        number = int(section[:4], 16)
        sections[number] = {(int(tag), name, kind) for tag, name, kind, _ in ROW.findall(section)}
    return sections


def main(wire, protocol):
    with open(wire, encoding="utf-8") as file:
        frames = json.load(file)["frames"]
    with open(protocol, encoding="utf-8") as file:
        sections = documented(file.read())
    messages = {}
    for frame in frames:
        add_fields(messages.setdefault(frame["type"], set()), frame["fields"])
    wrong = []
    for number in sorted(messages.keys() | sections.keys()):
        if number not in sections:
            wrong.append(f"0x{number:02x} has no section")
        elif number not in messages:
            wrong.append(f"0x{number:02x} is described and has no golden frame")
        else:
            # An answer that says "as the answer to …" may leave out the records shown there.
            missing = messages[number] - sections[number]
            if missing and number in (0xA6,):
                missing &= {field for field in messages[number] if field[1] in ("total", "versions")}
            wrong += [f"0x{number:02x} lacks field {field}" for field in sorted(missing)]
            wrong += [f"0x{number:02x} invents field {field}" for field in sorted(sections[number] - messages[number])]
    print("\n".join(wrong) or f"{len(sections)} messages, all described")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

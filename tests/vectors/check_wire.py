#!/usr/bin/env python3
"""Checks tests/vectors/wire.json with an encoder of its own: for each frame, the bytes made from the fields
must be the bytes in the file. Python standard library only, nothing shared with the C++ code.

usage: check_wire.py wire.json            compare; exit 1 with the first difference of each frame
       check_wire.py --write wire.json    put the bytes in (after adding a frame by hand)
"""
import json
import struct
import sys

INTEGERS = {"u16": "<H", "u32": "<I", "u64": "<Q"}


def encode_value(kind, value):
    if kind == "text":
        return value.encode("utf-8")
    if kind == "bytes":
        return bytes.fromhex(value)
    if kind == "bool":
        return b"\x01" if value else b"\x00"
    if kind == "list":
        return b"".join(encode_record(record) for record in value)
    return struct.pack(INTEGERS[kind], int(value))


def encode_fields(fields):
    out = b""
    last = -1
    for field in fields:
        if field["tag"] <= last:
            raise ValueError(f"tag {field['tag']} does not ascend")
        last = field["tag"]
        value = encode_value(field["kind"], field["value"])
        out += struct.pack("<HI", field["tag"], len(value)) + value
    return out


def encode_record(fields):
    body = struct.pack("<H", len(fields)) + encode_fields(fields)
    return struct.pack("<I", len(body)) + body


def encode_frame(frame):
    body = struct.pack("<BBHQ", frame["type"], 0, len(frame["fields"]), int(frame["id"]))
    body += encode_fields(frame["fields"])
    return struct.pack("<I", len(body)) + body


def check(frames):
    wrong = 0
    for frame in frames:
        made = encode_frame(frame).hex()
        if made == frame["hex"]:
            continue
        wrong += 1
        at = next((i for i, (a, b) in enumerate(zip(made, frame["hex"])) if a != b), min(len(made), len(frame["hex"])))
        print(f"{frame['name']}: differs from byte {at // 2}: made {made[at:at + 16]}, file {frame['hex'][at:at + 16]}")
    return wrong


def main(arguments):
    write = arguments[:1] == ["--write"]
    path = arguments[-1]
    with open(path, encoding="utf-8") as file:
        vectors = json.load(file)
    if write:
        for frame in vectors["frames"]:
            frame["hex"] = encode_frame(frame).hex()
        with open(path, "w", encoding="utf-8") as file:
            file.write(json.dumps(vectors, indent=1, ensure_ascii=True) + "\n")
        return 0
    if len(vectors["frames"]) < 50:
        print(f"only {len(vectors['frames'])} frames in {path}")
        return 1
    wrong = check(vectors["frames"])
    print(f"{len(vectors['frames'])} frames, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

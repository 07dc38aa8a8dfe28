#!/usr/bin/env python3
"""Holds the source tree to the arrows of docs/architecture.md.

usage: check_rooms.py TOP | --self-test

For each room: the left neighbours that its CMakeLists.txt declares are among those allowed here; every room it
includes is one that it declares or reaches through them; every outside library that only some rooms may see is
included there alone.
"""
import pathlib
import re
import sys
import tempfile

# Room → rooms it may name as left neighbours.
ALLOWED = {
    "base": set(),
    "confine": {"base"},
    "config": {"base"},
    "wire": {"base"},
    "venue": {"base"},
    "policy": {"base", "venue"},
    "policy_tools": {"base", "venue", "policy"},
    "officers": {"base"},
    "nonce": {"base"},
    "audit": {"base"},
    "audit_tools": {"base", "venue", "audit"},
    "state": {"base"},
    "metrics": {"base"},
    "http": {"base"},
    "client": {"base", "wire"},
    "keystore": {"base", "wire", "venue", "nonce"},
    # The token host judges again: it may see no policy, nonce, audit, state or service.
    "token": {"base", "confine", "config", "wire", "venue", "officers"},
    "service": {"base", "confine", "config", "wire", "venue", "policy", "officers", "nonce", "audit", "state", "metrics",
                "keystore"},
    "transport": {"base", "wire", "service"},
    # The simulated exchange reads payloads without our parser.
    "sim": {"base", "http"},
    "proxy": {"base", "config", "wire", "client", "http"},
    "ctl": {"base", "config", "wire", "client", "venue", "policy", "policy_tools", "officers", "nonce", "audit",
            "audit_tools"},
}
FOLDERS = {"client": "client_shim/core"}

# Programs → rooms whose headers their main file may see (hsm_signer/mains/).
MAINS = {
    "signerd.cc": {"base", "confine", "config", "wire", "venue", "policy", "nonce", "audit", "state", "keystore", "service",
                   "transport", "metrics", "officers"},
    "tokend.cc": {"base", "config", "wire", "token"},
    "signerctl.cc": {"base", "ctl"},
    "gemini_sim.cc": {"base", "http", "sim"},
}

# Outside headers → rooms that may include them.
KEPT_IN = {
    r"libp11\.h|p11-kit/.*|pkcs11\.h|dlfcn\.h": {"token"},
    r"sqlite3\.h": {"state"},
    r"seccomp\.h|linux/landlock\.h": {"confine"},
    r"boost/beast.*": {"http"},
    r"boost/asio.*": {"http", "keystore", "service", "transport"},
    r"CLI/.*": {"ctl"},
    r"toml\+\+.*|toml\.hpp": {"base"},
    r"sys/socket\.h|sys/un\.h": {"base", "confine", "token", "transport", "client", "http"},
}

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.M)
ROOM_CALL = re.compile(r"hsm_room\(\s*(\w+)(.*?)\)", re.S)
SECTIONS = re.compile(r"\b(SOURCES|DEPS|LINK)\b")


def folder_of(top, room):
    return top / FOLDERS.get(room, f"hsm_signer/{room}")


def room_of(include):
    for room, folder in FOLDERS.items():
        if include.startswith(folder + "/"):
            return room
    parts = include.split("/")
    return parts[1] if parts[0] == "hsm_signer" and len(parts) == 3 else None


def declared(top):
    """Room → declared left neighbours."""
    found = {}
    for room in ALLOWED:
        file = folder_of(top, room) / "CMakeLists.txt"
        if not file.exists():
            continue
        text = re.sub(r"#.*", "", file.read_text(encoding="utf-8"))
        for name, arguments in ROOM_CALL.findall(text):
            parts = SECTIONS.split(arguments)
            deps = [words for key, words in zip(parts[1::2], parts[2::2]) if key == "DEPS"]
            found[name] = set(" ".join(deps).split())
    return found


def reachable(graph, room):
    seen, todo = set(), [room]
    while todo:
        for next_room in graph.get(todo.pop(), set()) - seen:
            seen.add(next_room)
            todo.append(next_room)
    return seen


def problems_of(top):
    problems = []
    graph = declared(top)
    for room, deps in sorted(graph.items()):
        for dep in sorted(deps - ALLOWED.get(room, set())):
            problems.append(f"{room} may not depend on {dep}")
        if room in reachable(graph, room):
            problems.append(f"{room} depends on itself in a circle")
        seen = reachable(graph, room) | {room}
        for file in sorted(folder_of(top, room).glob("*.[hc]*")):
            for include in INCLUDE.findall(file.read_text(encoding="utf-8")):
                where = f"{file.relative_to(top)} includes {include}"
                other = room_of(include)
                if other is not None and other not in seen:
                    problems.append(f"{where}: {room} does not declare {other}")
                for pattern, rooms in KEPT_IN.items():
                    if re.fullmatch(pattern, include) and room not in rooms:
                        problems.append(f"{where}: kept in {', '.join(sorted(rooms))}")
    for file in sorted((top / "hsm_signer/mains").glob("*.cc")):
        for include in INCLUDE.findall(file.read_text(encoding="utf-8")):
            other = room_of(include)
            if other is not None and other not in MAINS.get(file.name, set()):
                problems.append(f"{file.relative_to(top)} includes {include}: not a room of this program")
    if len(graph) < 2:
        problems.append(f"no rooms found under {top}")
    return problems, len(graph)


def self_test():
    """Trees with one wrong arrow each must be refused, the same tree without it accepted."""
    def tree(top, deps, include):
        (top / "hsm_signer/mains").mkdir(parents=True)
        (top / "hsm_signer/mains/tokend.cc").write_text('#include "hsm_signer/base/os.h"\n' + (
            '#include "hsm_signer/venue/x.h"\n' if not deps else ""))
        for room, names in {"base": "", "wire": deps, "venue": "base"}.items():
            folder = top / "hsm_signer" / room
            folder.mkdir(parents=True)
            (folder / "CMakeLists.txt").write_text(f"hsm_room({room} SOURCES a.cc DEPS {names})\n")
            (folder / "a.cc").write_text(f"{include}\n" if room == "wire" else "")

    cases = [("base", '#include "hsm_signer/base/a.h"', 0), ("base", '#include "hsm_signer/venue/a.h"', 1),
             ("base venue", "", 1), ("base venue", '#include "hsm_signer/venue/a.h"', 1),
             ("base", "#include <sqlite3.h>", 1), ("base", "#include <p11-kit/uri.h>", 1),
             ("base wire", "", 2), ("", "", 1)]
    for deps, include, expected in cases:
        with tempfile.TemporaryDirectory() as folder:
            tree(pathlib.Path(folder), deps, include)
            problems, _ = problems_of(pathlib.Path(folder))
        if len(problems) != expected:
            print(f"DEPS {deps} {include}: {expected} problems expected, found {problems}")
            return 1
    print(f"{len(cases)} trees judged rightly")
    return 0


def main(argument):
    if argument == "--self-test":
        return self_test()
    problems, rooms = problems_of(pathlib.Path(argument))
    print("\n".join(problems) or f"{rooms} rooms, every arrow points left")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

#!/usr/bin/env python3
"""Holds documents to the tree: each relative link leads somewhere, each source file that docs/architecture.md names
is there, each test that docs/threat-model.md names exists.

usage: check_docs.py TOP
"""
import pathlib
import re
import sys

LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
SOURCE = re.compile(r"`((?:\w+/)+\w+\.(?:cc|h|py|json))`")
# "policy_test.Decide.RefusesX", "e2e.first_signature", "wire.protocol_md_describes_every_message"
TEST = re.compile(r"`((?:\w+_test|e2e|fuzz|models|rooms|scripts|wire)\.[\w./]+)`")


def broken_links(top):
    for document in [*sorted(top.glob("*.md")), *sorted(top.glob("docs/**/*.md"))]:
        for target in LINK.findall(document.read_text(encoding="utf-8")):
            if not (document.parent / target).exists():
                yield f"{document.relative_to(top)} links to {target}, which is not there"


def missing_sources(top):
    text = (top / "docs/architecture.md").read_text(encoding="utf-8")
    for name in sorted(set(SOURCE.findall(text))):
        if not (top / name).exists() and not (top / "hsm_signer" / name).exists():
            yield f"docs/architecture.md names {name}, which is not there"


def exists(top, test):
    program, _, rest = test.partition(".")
    if program == "e2e":
        script, _, method = rest.partition(".")
        file = top / f"tests/e2e/{script}_test.py"
        return file.exists() and (not method or re.search(rf"def {re.escape(method)}\b", file.read_text("utf-8")))
    if not program.endswith("_test"):
        return any(re.search(rf"NAME {re.escape(test)}\b", file.read_text("utf-8"))
                   for file in top.glob("tests/**/CMakeLists.txt")) or (
            program == "fuzz" and (top / f"tests/fuzz/{rest.partition('.')[0]}.cc").exists())
    suite, _, name = rest.partition(".")
    pattern = rf"TEST(?:_[FP])?\(\s*{re.escape(suite)},\s*" + (rf"{re.escape(name)}\)" if name else "")
    return any(re.search(pattern, file.read_text("utf-8")) for file in top.glob("tests/**/*_test.cc"))


def missing_tests(top):
    text = (top / "docs/threat-model.md").read_text(encoding="utf-8")
    names = sorted(set(TEST.findall(text)))
    if len(names) < 20:
        yield f"docs/threat-model.md names {len(names)} tests only"
    for name in names:
        if not exists(top, name):
            yield f"docs/threat-model.md names the test {name}, which is not there"


def main(argument):
    top = pathlib.Path(argument)
    problems = [*broken_links(top), *missing_sources(top), *missing_tests(top)]
    print("\n".join(problems) or "documents and tree agree")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

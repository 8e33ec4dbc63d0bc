"""Read a document's fenced blocks, and what its marks say about them.

```sh           commands, run in this order in one shell
```text, json   directly after commands: their output
<!-- not run: reason -->             before commands that the tests do not run
<!-- in the browser: allow -->       the reader consents at the link that the last output shows
<!-- python -->                      before a program that is run like a command
<!-- save as: try/one.py -->         before a program that the reader saves under that name
<!-- after: README.md -->            the reader has followed that document already
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple

from tests.structure.tree import ROOT

DOCUMENTS: Final = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/tutorial.md",
    "docs/guides/embed-connect.md",
    "docs/guides/debug-a-stuck-job.md",
    "docs/operate.md",
    "docs/consume.md",
    "deploy/localkafka/README.md",
    "deploy/sandbox/README.md",
)
"""Every document that shows commands."""
PIECE: Final = re.compile(
    r"^<!-- (?P<mark>.+?) -->$|^(?P<indent> *)```(?P<language>\w+)\n(?P<body>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
Kind = Literal["commands", "program", "file", "output", "consent", "earlier", "left out", "other"]
ALONE: Final[Mapping[str, Kind]] = {"in the browser": "consent", "after": "earlier"}
"""The marks that are steps by themselves; the others tell of the block behind them."""


class Step(NamedTuple):
    """A block or a mark, and where its body stands in the document.

    ``note`` says why a block is left out, or where a file is saved.
    """

    kind: Kind
    body: str
    start: int
    end: int
    note: str = ""


def steps(text: str) -> list[Step]:
    """Return what a reader does and sees, in the order of the document."""
    found: list[Step] = []
    last_end, mark, note = 0, "", ""
    for piece in PIECE.finditer(text):
        adjacent = not text[last_end : piece.start()].strip()
        last_end = piece.end()
        if piece["mark"] is not None:
            mark, _, note = piece["mark"].partition(": ")
            if mark in ALONE:
                found.append(Step(ALONE[mark], note, *piece.span()))
            continue
        after_commands = adjacent and bool(found) and found[-1].kind in {"commands", "program"}
        kind = _kind(piece["language"], mark if adjacent else "", after_commands=after_commands)
        found.append(Step(kind, piece["body"], *piece.span("body"), note))
        mark, note = "", ""
    return found


def _kind(language: str, mark: str, *, after_commands: bool) -> Kind:
    match language, mark:
        case "sh", "not run":
            return "left out"
        case "sh", _:
            return "commands"
        case "python", "python":
            return "program"
        case "python", "save as":
            return "file"
        case "text" | "json", _ if after_commands:
            return "output"
        case _:
            return "other"


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def write(name: str, text: str) -> None:
    Path(ROOT / name).write_text(text, "utf-8")

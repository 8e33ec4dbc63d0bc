"""Read a document's fenced blocks, and what its marks say about them.

```sh           commands, run in this order in one shell
```text, json   directly after commands: their output
<!-- not run: reason -->             before commands that the tests do not run
<!-- in the browser: allow -->       the reader consents at the link that the last output shows
<!-- python -->                      before a program that is run like a command
"""

from __future__ import annotations

import re
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
)
"""Every document that shows commands."""
PIECE: Final = re.compile(
    r"^<!-- (?P<mark>.+?) -->$|^(?P<indent> *)```(?P<language>\w+)\n(?P<body>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
Kind = Literal["commands", "program", "output", "consent", "left out", "other"]


class Step(NamedTuple):
    """A block or a mark: where its body stands in the document, and for what is left out why."""

    kind: Kind
    body: str
    start: int
    end: int
    reason: str = ""


def steps(text: str) -> list[Step]:
    """Return what a reader does and sees, in the order of the document."""
    found: list[Step] = []
    reason, last_end, last_mark = "", 0, ""
    for piece in PIECE.finditer(text):
        adjacent = not text[last_end : piece.start()].strip()
        last_end = piece.end()
        mark = piece["mark"]
        if mark is not None:
            last_mark = mark
            reason = mark.removeprefix("not run: ") if mark.startswith("not run: ") else ""
            if mark.startswith("in the browser: "):
                found.append(Step("consent", mark.removeprefix("in the browser: "), *piece.span()))
            continue
        after_commands = adjacent and bool(found) and found[-1].kind in {"commands", "program"}
        kind = _kind(piece["language"], after_commands=after_commands, left_out=bool(reason))
        if adjacent and last_mark == "python":
            kind = "program"
        found.append(Step(kind, piece["body"], *piece.span("body"), reason))
        reason, last_mark = "", ""
    return found


def _kind(language: str, *, after_commands: bool, left_out: bool) -> Kind:
    if language == "sh":
        return "left out" if left_out else "commands"
    if language in {"text", "json"} and after_commands:
        return "output"
    return "other"


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def write(name: str, text: str) -> None:
    Path(ROOT / name).write_text(text, "utf-8")

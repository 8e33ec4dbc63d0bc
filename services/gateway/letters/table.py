"""Dead letters on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.gateway.letters.view import LetterSummary, LetterView

LONGEST: Final = 60
COLUMNS: Final = ("id", "kept", "service", "tries", "bytes", "replayed", "key", "error")


def table(letters: Sequence[LetterSummary]) -> str:
    """Without values: they hold customers' data."""
    if not letters:
        return "There are no dead letters.\n"
    rows = [COLUMNS, *(_row(letter) for letter in letters)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def described(letter: LetterView) -> str:
    origin = (
        f"{letter.topic}, partition {letter.partition}, offset {letter.offset}"
        if letter.pointer is None
        else f"a record of a provider's page, at {letter.pointer}: it cannot be replayed; load the connection again"
    )
    facts = {
        "id": letter.id,
        "from": origin,
        "kept": letter.kept,
        "service": letter.service,
        "error": letter.error,
        "tries": str(letter.attempts),
        "organisation": letter.org_id or "-",
        "key": letter.key,
        "replayed": letter.replayed or "no",
        **{f"header {one.name}": _encoded(one.value, one.encoding) for one in letter.headers},
        "bytes": str(letter.bytes),
    }
    width = max(len(name) for name in facts)
    lines = [f"{name.ljust(width)}  {_printable(text)}" for name, text in facts.items()]
    value = "no value: a deletion" if letter.value is None else _encoded(letter.value, letter.encoding)
    return "\n".join([*lines, "", _printable(value, keep="\n\t"), ""])


def _row(letter: LetterSummary) -> tuple[str, ...]:
    replayed = letter.replayed or ("no" if letter.replayable else "cannot be")
    cells = (letter.id, letter.kept, letter.service, str(letter.attempts), str(letter.bytes), replayed)
    return (*cells, _short(letter.key), _short(letter.error))


def _short(text: str) -> str:
    shown = _printable(text)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def _printable(text: str, *, keep: str = "") -> str:
    """Whoever wrote the message must not write on the terminal."""
    return "".join(one if one.isprintable() or one in keep else "\N{REPLACEMENT CHARACTER}" for one in text)


def _encoded(text: str, encoding: str | None) -> str:
    return f"(base64) {text}" if encoding == "base64" else text

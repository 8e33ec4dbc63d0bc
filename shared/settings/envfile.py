"""Parse ``.env``: KEY=VALUE, ``#`` comments, quotes, an optional ``export``.

Nothing is expanded or executed.
"""

from __future__ import annotations

import re
from typing import Final

_LINE: Final = re.compile(
    r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)", re.DOTALL
)
_QUOTED: Final = re.compile(
    r"""(?:'(?P<plain>[^']*)'|"(?P<escaped>(?:[^"\\]|\\.)*)")\s*(?:\#.*)?"""
)
_ESCAPES: Final = {"n": "\n", "t": "\t"}


def parse_env(text: str) -> tuple[dict[str, str], list[str]]:
    r"""Return the values by name, and a sentence with its line number for each problem.

    The last of two equal names wins. Inside double quotes ``\n``, ``\t``, ``\"`` and ``\\`` are
    escapes; single quotes take everything literally. The sentences never quote a value: it may be
    secret.
    """
    values: dict[str, str] = {}
    problems: list[str] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        found = _LINE.fullmatch(stripped)
        value = _value(found["value"]) if found else None
        if found is None:
            problems.append(
                f".env line {number} is not NAME=value. Correct it, or put # in front of it."
            )
        elif value is None:
            problems.append(
                f".env line {number}: the quotes of {found['name']} do not match. "
                "Close them on the same line."
            )
        else:
            values[found["name"]] = value
    return values, problems


def _value(raw: str) -> str | None:
    if raw[:1] not in {"'", '"'}:
        return re.split(r"(?:^|\s)#", raw, maxsplit=1)[0].strip()
    quoted = _QUOTED.fullmatch(raw)
    if quoted is None:
        return None
    if quoted["escaped"] is None:
        return quoted["plain"]
    return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), quoted["escaped"])

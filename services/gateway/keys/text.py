"""How a key is written: ``trb_<prefix>_<secret>``, both in letters and digits so that a double click marks it whole."""

from __future__ import annotations

import re
import secrets
import string
from typing import Final, NamedTuple

from typing_extensions import override

_LETTERS: Final = string.digits + string.ascii_letters
_PREFIX: Final = 12
_SECRET: Final = 40
"""238 random bits."""
_KEY: Final = re.compile(rf"trb_([0-9A-Za-z]{{{_PREFIX}}})_([0-9A-Za-z]{{{_SECRET}}})")


class KeyText(NamedTuple):
    """``prefix`` is public, it names the key in lists and logs; ``secret`` is not, and its ``repr`` hides it."""

    prefix: str
    secret: str

    def written(self) -> str:
        return f"trb_{self.prefix}_{self.secret}"

    @override
    def __repr__(self) -> str:
        return f"KeyText({self.prefix})"


def new_key_text() -> KeyText:
    return KeyText(_random(_PREFIX), _random(_SECRET))


def parse_key(text: str) -> KeyText | None:
    """None for what was never a key of ours."""
    found = _KEY.fullmatch(text)
    return KeyText(found[1], found[2]) if found else None


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))

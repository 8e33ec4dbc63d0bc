"""What there is to say of one variable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from shared.settings import readers


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """``default`` is the text that stands in when nothing is set, read like any other; None leaves the value None."""

    name: str
    kind: str
    read: Callable[[str], Any]
    description: str
    default: str | None = None
    secret: bool = False

    @property
    def field(self) -> str:
        return self.name.lower()


def port(name: str, default: str, what: str) -> Variable:
    return Variable(name=name, kind="port", read=readers.port, default=default, description=what)

"""What a proxy does to the bytes of one direction."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pass:
    """On, after ``delay_s`` and up to ``jitter_s`` more; order is kept and pauses do not add up."""

    delay_s: float = 0.0
    jitter_s: float = 0.0


@dataclass(frozen=True)
class Drop:
    """Connections are closed in good order, new ones as soon as they are accepted."""


@dataclass(frozen=True)
class Reset:
    """As ``Drop``, with a RST."""


@dataclass(frozen=True)
class HalfClose:
    """This direction ends with a FIN and takes nothing more; the other one goes on."""


@dataclass(frozen=True)
class BlackHole:
    """Accepted, read, and never passed on. Connections that lost bytes are reset when the mode changes."""


@dataclass(frozen=True)
class Truncate:
    """``after`` more bytes of each connection go through, then it is closed, in the middle of whatever it was."""

    after: int


Mode = Pass | Drop | Reset | HalfClose | BlackHole | Truncate

"""Describe what a proxy does to the bytes of one direction."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pass:
    """Pass on in order, after ``delay_s`` and up to ``jitter_s`` more; pauses do not add up."""

    delay_s: float = 0.0
    jitter_s: float = 0.0


@dataclass(frozen=True)
class Drop:
    """Close connections in good order, new ones as soon as they are accepted."""


@dataclass(frozen=True)
class Reset:
    """Close connections like ``Drop``, with a RST."""


@dataclass(frozen=True)
class HalfClose:
    """End this direction with a FIN and take nothing more; the other direction goes on."""


@dataclass(frozen=True)
class BlackHole:
    """Accept and read but never pass on; a later mode resets connections that lost bytes."""


@dataclass(frozen=True)
class Truncate:
    """Let ``after`` more bytes of each connection through, then close it, wherever that may be."""

    after: int


Mode = Pass | Drop | Reset | HalfClose | BlackHole | Truncate

"""Geometry of the drawings; the templates write it as SVG attributes, since the page's policy forbids style ones."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

WIDTH = 100.0
GAP = 0.8
THINNEST = 1.2
"""Something that is there can be seen, however small its share."""


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a share bar. ``x`` and ``width`` are in hundredths of the bar, ``tone`` numbers its colour."""

    label: str
    count: int
    tone: int
    x: float
    width: float


def shares(parts: Sequence[tuple[str, int]]) -> tuple[Slice, ...]:
    """The parts that are not empty side by side, in the given order, filling the bar."""
    shown = [(label, count, tone) for tone, (label, count) in enumerate(parts) if count > 0]
    total = sum(count for _, count, _ in shown)
    room = WIDTH - GAP * (len(shown) - 1) - THINNEST * len(shown)
    drawn: list[Slice] = []
    x = 0.0
    for label, count, tone in shown:
        width = THINNEST + room * count / total
        drawn.append(Slice(label=label, count=count, tone=tone, x=round(x, 2), width=round(width, 2)))
        x += width + GAP
    return tuple(drawn)

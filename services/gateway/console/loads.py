"""A load as the console draws it: one bar per resource, and whether there is still something to watch."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from services.gateway.console.words import Moment, clock, number
from services.gateway.sync import ResourceState, SyncView

WORDS = {
    "queued": "Queued",
    "running": "Loading",
    "waiting": "Waiting",
    "done": "Loaded",
    "incomplete": "Incomplete",
    "failed": "Failed",
}
KINDS = {"queued": "idle", "running": "busy", "waiting": "wait", "done": "ok", "incomplete": "warn", "failed": "bad"}


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """``of`` is the expected count, None where the provider does not tell: then the bar only shows that it moves."""

    slug: str
    label: str
    state: str
    kind: str
    word: str
    items: int
    count: str
    of: int | None = None
    reason: str | None = None
    until: Moment | None = None
    error: str | None = None
    scope: str | None = None


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """``state`` is ``running``, ``waiting`` (nothing runs, something waits), ``done``, ``partial`` or ``failed``."""

    sync: str
    state: str
    live: bool
    ended: str | None
    bars: tuple[Bar, ...]


def load(sync: SyncView, *, labels: Mapping[str, str], counts: Mapping[str, int]) -> Load:
    """``counts`` are the items that can be read: what a bar that has ended shows, so that all figures agree."""
    bars = tuple(_bar(one, labels.get(one.resource, one.resource), counts) for one in sync.resources)
    states = {bar.state for bar in bars}
    waits = "waiting" in states and "running" not in states
    ends = [one.ended for one in sync.resources if one.ended]
    return Load(
        sync=sync.id,
        state="waiting" if waits else sync.state,
        live=sync.state == "running",
        ended=max(ends, default=None),
        bars=bars,
    )


def _bar(one: ResourceState, label: str, counts: Mapping[str, int]) -> Bar:
    over = one.state in {"done", "incomplete", "failed"}
    items = counts.get(one.resource, 0) if over else one.items
    expected = _expected(one)
    count = number(items) if over or expected is None else f"{number(items)} of {number(expected)}"
    return Bar(
        slug=one.resource,
        label=label,
        state=one.state,
        kind=KINDS[one.state],
        word=WORDS[one.state],
        items=min(items, expected) if expected else items,
        count="" if one.state == "queued" else count,
        of=max(items, 1) if one.state == "done" else expected,
        reason=one.waiting.reason if one.waiting else None,
        until=clock(one.waiting.until) if one.waiting else None,
        error=one.error.detail if one.error else None,
        scope=one.error.scope if one.error else None,
    )


def _expected(one: ResourceState) -> int | None:
    """What a full bar stands for; a total that proved too small is none."""
    return one.expected if one.expected and one.expected >= one.items else None

"""The console's cards: the state of each account, its last sync, its share of the items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from services.gateway.connections.queries import StaleResource
from services.gateway.console.formatting import Moment, ago, clock, day, epoch, initials, number
from services.gateway.settings import ConfiguredProvider
from services.gateway.syncs.describe import ResourceState, SyncView
from services.gateway.syncs.retry import can_retry
from shared.contracts.connections import Connection
from shared.contracts.progress import FINAL, SAID_IN_ERRORS, HeldDeletions, PartOutcome
from shared.contracts.vocabulary import SyncState

WIDTH: Final = 100.0
GAP: Final = 0.8
THINNEST: Final = 1.2
"""The smallest width of a slice, so that it can be seen however small its share is."""

WORDS: Final = {
    "queued": "Queued",
    "running": "Syncing",
    "waiting": "Waiting",
    "done": "Synced",
    "incomplete": "Incomplete",
    "failed": "Failed",
}
KINDS: Final = {
    "queued": "idle",
    "running": "busy",
    "waiting": "wait",
    "done": "ok",
    "incomplete": "warn",
    "failed": "bad",
}
TOKEN_REFUSED: Final = "fresh_token_refused"
_WORST_FIRST: Final = ("bad", "warn", "wait", "busy", "ok", "idle")


class ShareSlice(msgspec.Struct, frozen=True, kw_only=True):
    """One slice of a share bar.

    ``x`` and ``width`` are in hundredths of the bar; ``tone`` is the number of its colour.
    """

    label: str
    count: int
    tone: int
    x: float
    width: float


def shares(parts: Sequence[tuple[str, int]]) -> tuple[ShareSlice, ...]:
    """Return the parts that are not empty, side by side in the given order, filling the bar."""
    shown = [(label, count, tone) for tone, (label, count) in enumerate(parts) if count > 0]
    total = sum(count for _, count, _ in shown)
    room = WIDTH - GAP * (len(shown) - 1) - THINNEST * len(shown)
    drawn: list[ShareSlice] = []
    x = 0.0
    for label, count, tone in shown:
        width = THINNEST + room * count / total
        drawn.append(
            ShareSlice(label=label, count=count, tone=tone, x=round(x, 2), width=round(width, 2))
        )
        x += width + GAP
    return tuple(drawn)


Completeness = Literal["counted", "uncounted"]
"""The provider counts its objects and all of them are accounted for, or it gives no count."""


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of one resource.

    ``of`` is the expected count, None where the provider does not tell; the bar then only shows
    that it moves. ``parts`` are those that were not read whole, where the error does not name them
    all, and ``more`` is the number of those that are not even named here. ``held`` are parts whose
    deletions wait to be confirmed; the items of ``removable`` parts can be removed. ``complete`` is
    when all of a ``stale`` resource was last read, None if it never was. ``refused``: it waits
    because even new access tokens are refused. ``counts``: the provider counts its objects;
    ``reconciled`` and ``unreconciled`` say whether all of them are accounted for, and why not.
    """

    slug: str
    label: str
    state: str
    kind: str
    word: str
    items: int
    count: str
    of: int | None = None
    reason: str | None = None
    refused: bool = False
    until: Moment | None = None
    can_retry: bool = False
    error: str | None = None
    scope: str | None = None
    parts: tuple[PartOutcome, ...] = ()
    more: int = 0
    held: tuple[HeldDeletions, ...] = ()
    removable: tuple[PartOutcome, ...] = ()
    stale: bool = False
    complete: Moment | None = None
    counts: bool = False
    reconciled: bool | None = None
    unreconciled: str | None = None
    truncated: int = 0


class CardSync(msgspec.Struct, frozen=True, kw_only=True):
    """A sync on a card.

    ``live`` is true until it is over, as long as there is something to watch.
    """

    sync_id: str
    state: SyncState
    live: bool
    ended: str | None
    bars: tuple[Bar, ...]


def card_sync(sync: SyncView, *, labels: Mapping[str, str], counts: Mapping[str, int]) -> CardSync:
    """Return a sync as a card shows it.

    ``counts`` are the items that can be read. A bar of a finished resource shows them, so that all
    figures agree.
    """
    stale = {one.resource: one for one in sync.stale}
    bars = tuple(
        _bar(one, labels.get(one.resource, one.resource), counts, stale.get(one.resource))
        for one in sync.resources
    )
    ends = [one.ended_at for one in sync.resources if one.ended_at]
    return CardSync(
        sync_id=sync.id,
        state=sync.state,
        live=sync.state not in FINAL,
        ended=max(ends, default=None),
        bars=bars,
    )


def _bar(
    one: ResourceState, label: str, counts: Mapping[str, int], stale: StaleResource | None
) -> Bar:
    over = one.state in FINAL
    items = counts.get(one.resource, 0) if over else one.items
    expected = _expected(one)
    count = number(items) if over or expected is None else f"{number(items)} of {number(expected)}"
    parts, more = _unread(one)
    return Bar(
        slug=one.resource,
        label=label,
        state=one.state,
        kind=KINDS[one.state],
        word=WORDS[one.state],
        items=min(items, expected) if expected else items,
        count="" if one.state == "queued" else count,
        of=max(items, 1) if one.state == "done" else expected,
        reason=one.waiting_reason,
        refused=one.waiting_code == TOKEN_REFUSED,
        until=clock(one.waiting_until) if one.waiting_until else None,
        can_retry=one.state == "waiting" and can_retry(one.asked_to_wait_until),
        error=one.error.detail if one.error else None,
        scope=one.error.scope if one.error else None,
        parts=parts,
        more=more,
        held=one.receipt.held or () if one.receipt else (),
        removable=stale.parts if stale else (),
        stale=stale is not None,
        complete=day(stale.stale_since) if stale else None,
        counts=one.expected is not None,
        reconciled=one.receipt.reconciled if one.receipt else None,
        unreconciled=one.receipt.unreconciled_reason if one.receipt else None,
        truncated=one.receipt.truncated or 0 if one.receipt else 0,
    )


def _unread(one: ResourceState) -> tuple[tuple[PartOutcome, ...], int]:
    """Return the parts to list, and how many more there are; none where the error names them."""
    parts = one.receipt.parts if one.receipt else None
    if parts is None or len(parts.named) <= SAID_IN_ERRORS:
        return (), 0
    unread = parts.total - parts.by_outcome.get("done", 0)
    return parts.named, max(0, unread - len(parts.named))


def _expected(one: ResourceState) -> int | None:
    """Return the value of a full bar, None for a total that proved too small."""
    return one.expected if one.expected and one.expected >= one.items else None


class StatusSign(msgspec.Struct, frozen=True):
    """A sign and its word: ``kind`` picks the sign (``idle ok busy wait warn bad``)."""

    kind: str
    word: str


class AccountCard(msgspec.Struct, frozen=True, kw_only=True):
    """One connection on its provider's card.

    ``user`` connected it; ``stream`` is the id of the sync to follow while it runs.
    """

    id: str
    name: str
    user: str
    status: StatusSign
    reason: str | None
    reconnect: bool
    can_sync: bool
    can_retry: bool
    items: int
    last_synced: Moment | None
    bars: tuple[Bar, ...]
    shares: tuple[ShareSlice, ...]
    stream: str | None
    completeness: Completeness | None = None


class Card(msgspec.Struct, frozen=True, kw_only=True):
    slug: str
    name: str
    mark: str
    simulated: bool
    note: str
    status: StatusSign
    accounts: tuple[AccountCard, ...]


NOT_CONNECTED: Final = StatusSign("idle", "Not connected")
_SYNC_SIGNS: Final = {
    "queued": StatusSign("busy", "Syncing"),
    "running": StatusSign("busy", "Syncing"),
    "waiting": StatusSign("wait", "Waiting"),
    "done": StatusSign("ok", "Connected"),
    "incomplete": StatusSign("warn", "Partly synced"),
    "failed": StatusSign("bad", "Sync failed"),
}


def card(configured: ConfiguredProvider, accounts: tuple[AccountCard, ...]) -> Card:
    """Return the card of a provider, which shows the state of its worst account."""
    found = sorted(
        (account.status for account in accounts), key=lambda status: _WORST_FIRST.index(status.kind)
    )
    provider = configured.provider
    return Card(
        slug=provider.slug,
        name=provider.name,
        mark=initials(provider.name),
        simulated=configured.simulated,
        note=provider.consent_note,
        status=found[0] if found else NOT_CONNECTED,
        accounts=accounts,
    )


def account(
    connection: Connection,
    sync: CardSync | None,
    *,
    labels: Mapping[str, str],
    counts: Mapping[str, int],
    now: float,
) -> AccountCard:
    """Return one account on its card.

    ``labels`` are the provider's resources in its order; ``counts`` are the items of each that can
    be read now.
    """
    known = {slug: slug for slug in (*labels, *counts)} | dict(labels)
    return AccountCard(
        id=connection.id,
        name=connection.account.name or connection.account.id,
        user=connection.user_id,
        status=_status(connection, sync),
        reason=connection.reason,
        reconnect=connection.status == "reauth_required" or _may_help_to_reconnect(sync),
        can_sync=connection.status != "reauth_required",
        can_retry=sync is not None and any(bar.can_retry for bar in sync.bars),
        items=sum(counts.values()),
        last_synced=_last_synced(sync, now),
        bars=sync.bars if sync else (),
        shares=shares([(label, counts.get(slug, 0)) for slug, label in known.items()]),
        stream=sync.sync_id if sync and sync.live else None,
        completeness=_completeness(sync),
    )


def _completeness(sync: CardSync | None) -> Completeness | None:
    """Return what is known of a complete sync, if it is the same of all its resources."""
    if sync is None or sync.state != "done" or not sync.bars:
        return None
    if all(bar.reconciled for bar in sync.bars):
        return "counted"
    if any(bar.counts or bar.reconciled is not None for bar in sync.bars):
        return None
    return "uncounted"


def _status(connection: Connection, sync: CardSync | None) -> StatusSign:
    if connection.status == "reauth_required":
        return StatusSign("bad", "Reconnect needed")
    if connection.status == "degraded":
        return StatusSign("warn", "Degraded")
    return _SYNC_SIGNS[sync.state] if sync else StatusSign("ok", "Connected")


def _may_help_to_reconnect(sync: CardSync | None) -> bool:
    """Return True if a scope is missing, or the provider refuses the tokens of all that is left."""
    if sync is None:
        return False
    left = [bar.refused for bar in sync.bars if bar.state not in FINAL]
    return any(bar.scope for bar in sync.bars) or (bool(left) and all(left))


def _last_synced(sync: CardSync | None, now: float) -> Moment | None:
    ended = epoch(sync.ended) if sync and sync.ended and not sync.live else None
    return None if ended is None else ago(ended, now)

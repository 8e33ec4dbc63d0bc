"""What a connect card shows: the state of each connected account of a provider, in words."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from services.gateway.console.charts import Slice, shares
from services.gateway.console.loads import Bar, Load
from services.gateway.console.words import Moment, ago, epoch, initials
from services.gateway.settings import Offered
from shared.contracts.connections import Connection


class Status(msgspec.Struct, frozen=True):
    """``kind`` picks the sign (``idle ok busy wait warn bad``), ``word`` says it."""

    kind: str
    word: str


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One connection on its provider's card: ``user`` connected it, ``stream`` is the sync to follow while it runs."""

    id: str
    name: str
    user: str
    status: Status
    reason: str | None
    reconnect: bool
    reload: bool
    items: int
    loaded: Moment | None
    bars: tuple[Bar, ...]
    shares: tuple[Slice, ...]
    stream: str | None


class Card(msgspec.Struct, frozen=True, kw_only=True):
    slug: str
    name: str
    mark: str
    simulated: bool
    note: str
    status: Status
    accounts: tuple[Account, ...]


NOT_CONNECTED = Status("idle", "Not connected")
_WORST_FIRST = ("bad", "warn", "wait", "busy", "ok", "idle")
_LOADS = {
    "running": Status("busy", "Loading"),
    "waiting": Status("wait", "Waiting"),
    "done": Status("ok", "Connected"),
    "partial": Status("warn", "Partly loaded"),
    "failed": Status("bad", "Load failed"),
}


def card(offered: Offered, accounts: tuple[Account, ...]) -> Card:
    """The card tells the state of its worst account."""
    found = sorted((account.status for account in accounts), key=lambda status: _WORST_FIRST.index(status.kind))
    provider = offered.provider
    return Card(
        slug=provider.slug,
        name=provider.name,
        mark=initials(provider.name),
        simulated=offered.simulated,
        note=provider.consent_note,
        status=found[0] if found else NOT_CONNECTED,
        accounts=accounts,
    )


def account(
    connection: Connection, load: Load | None, *, labels: Mapping[str, str], counts: Mapping[str, int], now: float
) -> Account:
    """``labels`` are the provider's resources in its order, ``counts`` what can be read of each right now."""
    known = {slug: slug for slug in (*labels, *counts)} | dict(labels)
    return Account(
        id=connection.id,
        name=connection.account.name or connection.account.id,
        user=connection.user_id,
        status=_status(connection, load),
        reason=connection.reason,
        reconnect=connection.status == "reauth_required" or _lacks_scope(load),
        reload=connection.status != "reauth_required",
        items=sum(counts.values()),
        loaded=_loaded(load, now),
        bars=load.bars if load else (),
        shares=shares([(label, counts.get(slug, 0)) for slug, label in known.items()]),
        stream=load.sync if load and load.live else None,
    )


def _status(connection: Connection, load: Load | None) -> Status:
    if connection.status == "reauth_required":
        return Status("bad", "Reconnect needed")
    if connection.status == "degraded":
        return Status("warn", "Unsteady")
    return _LOADS[load.state] if load else Status("ok", "Connected")


def _lacks_scope(load: Load | None) -> bool:
    return load is not None and any(bar.scope for bar in load.bars)


def _loaded(load: Load | None, now: float) -> Moment | None:
    ended = epoch(load.ended) if load and load.ended and not load.live else None
    return None if ended is None else ago(ended, now)

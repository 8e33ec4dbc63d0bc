"""Keep the sealed tokens of a connection, and the journal of their refresh.

Every function works in the caller's transaction and never commits.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.auth import tables
from shared.contracts.connections import Connection
from shared.crypto import KeyRing, hash_token
from shared.settings import SecretStr

_t = tables.credentials
_c = tables.connections


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens that a provider gave.

    They expire at these epoch seconds; None means that the provider did not say.
    """

    access: SecretStr
    refresh: SecretStr | None
    access_expires_at: float | None = None
    refresh_expires_at: float | None = None


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    connection_id: str
    access_sealed: str
    access_expires_at: float | None = None
    refresh_sealed: str | None = None
    refresh_expires_at: float | None = None
    fingerprint: str | None = None
    attempt_id: str | None = None
    attempt_fingerprint: str | None = None
    refresh_until: float = 0.0
    replays: int = 0
    failures: int = 0
    retry_at: float = 0.0
    last_used_at: float = 0.0


def sealed(connection: Connection, pair: Pair, keyring: KeyRing) -> Credential:
    """Return a credential with an empty journal, which opens only for this org and connection."""
    bound_to = (connection.org_id, connection.id)
    refresh = pair.refresh.reveal() if pair.refresh else None
    return Credential(
        connection_id=connection.id,
        access_sealed=keyring.seal(pair.access.reveal(), *bound_to, "access_token"),
        access_expires_at=pair.access_expires_at,
        refresh_sealed=keyring.seal(refresh, *bound_to, "refresh_token") if refresh else None,
        refresh_expires_at=pair.refresh_expires_at,
        fingerprint=hash_token(refresh) if refresh else None,
    )


def opened(connection: Connection, credential: Credential, keyring: KeyRing) -> Pair:
    """Return the tokens of a credential.

    Raises:
        DecryptFailed: they were altered, or moved from another connection.
        UnknownKey: the key that sealed them is missing.
    """
    bound_to = (connection.org_id, connection.id)
    refresh = credential.refresh_sealed
    return Pair(
        access=SecretStr(keyring.open(credential.access_sealed, *bound_to, "access_token")),
        refresh=SecretStr(keyring.open(refresh, *bound_to, "refresh_token")) if refresh else None,
        access_expires_at=credential.access_expires_at,
        refresh_expires_at=credential.refresh_expires_at,
    )


async def get(db: AsyncConnection, connection_id: str) -> Credential | None:
    row = (
        (await db.execute(select(_t).where(_t.c.connection_id == connection_id))).mappings().first()
    )
    return None if row is None else Credential(**row)


async def put(db: AsyncConnection, credential: Credential) -> None:
    """Replace the tokens of a connection.

    A refresh of the old ones can no longer store its result.
    """
    await db.execute(delete(_t).where(_t.c.connection_id == credential.connection_id))
    await db.execute(insert(_t).values(msgspec.structs.asdict(credential)))


async def drop(db: AsyncConnection, connection_id: str) -> None:
    await db.execute(delete(_t).where(_t.c.connection_id == connection_id))


async def exchange(db: AsyncConnection, credential: Credential, *, made_from: str) -> bool:
    """Store a refreshed pair if the row still holds the refresh token it was made from.

    Return whether it did.
    """
    # However late an answer comes, the pair it brings is the only good one, so no attempt id is
    # compared here. After another consent the fingerprint is another one.
    still = (_t.c.connection_id == credential.connection_id) & (_t.c.fingerprint == made_from)
    values = msgspec.structs.asdict(credential)
    del values["last_used_at"]
    return (await db.execute(update(_t).where(still).values(values))).rowcount == 1


async def claim(
    db: AsyncConnection, seen: Credential, attempt_id: str, *, until: float, replays: int
) -> bool:
    """Journal an attempt. Return False when somebody else did so since ``seen`` was read."""
    unchanged = (
        (_t.c.connection_id == seen.connection_id)
        & _t.c.fingerprint.is_not_distinct_from(seen.fingerprint)
        & _t.c.attempt_id.is_not_distinct_from(seen.attempt_id)
    )
    values = {
        "attempt_id": attempt_id,
        "attempt_fingerprint": seen.fingerprint,
        "refresh_until": until,
        "replays": replays,
    }
    return (await db.execute(update(_t).where(unchanged).values(values))).rowcount == 1


async def count_replay(db: AsyncConnection, connection_id: str, attempt_id: str) -> bool:
    own = (_t.c.connection_id == connection_id) & (_t.c.attempt_id == attempt_id)
    return (await db.execute(update(_t).where(own).values(replays=_t.c.replays + 1))).rowcount == 1


async def settle(
    db: AsyncConnection,
    connection_id: str,
    attempt_id: str,
    *,
    known: bool,
    retry_at: float,
    replays: int = 0,
) -> bool:
    """End an attempt that brought no tokens; return False when it was no longer the current one.

    ``replays`` counts the tries whose outcome nobody knows. ``known`` False keeps the attempt in
    the journal: it, or one before it, may have had its effect.
    """
    own = (_t.c.connection_id == connection_id) & (_t.c.attempt_id == attempt_id)
    ended = {"attempt_id": None, "attempt_fingerprint": None} if known else {}
    counts = {"replays": replays, "failures": _t.c.failures + 1}
    values = {**ended, **counts, "refresh_until": 0.0, "retry_at": retry_at}
    return (await db.execute(update(_t).where(own).values(values))).rowcount == 1


async def touch(
    db: AsyncConnection, connection_id: str, *, now: float, stale_before: float
) -> None:
    """Note that the token was asked for. Of many who ask at the same time, one writes."""
    stale = (_t.c.connection_id == connection_id) & (_t.c.last_used_at < stale_before)
    await db.execute(update(_t).where(stale).values(last_used_at=now))


async def due(
    db: AsyncConnection,
    *,
    now: float,
    access_before: float,
    used_since: float,
    refresh_before: float,
) -> list[tuple[str, int]]:
    """Return (connection, token version) of what to refresh unasked, the soonest to expire first.

    These are tokens in use that are about to expire, refresh tokens about to die, and attempts that
    never ended.
    """
    expiring = (_t.c.access_expires_at < access_before) & (_t.c.last_used_at >= used_since)
    unresolved = _t.c.attempt_id.is_not(None) & (_t.c.refresh_until < now)
    query = (
        select(_t.c.connection_id, _c.c.token_version)
        .join(_c, _c.c.id == _t.c.connection_id)
        .where(
            _c.c.status.in_(("active", "degraded")),
            _t.c.refresh_sealed.is_not(None),
            _t.c.retry_at <= now,
            or_(expiring, unresolved, _t.c.refresh_expires_at < refresh_before),
        )
        .order_by(_t.c.access_expires_at)
    )
    return [(row.connection_id, row.token_version) for row in await db.execute(query)]

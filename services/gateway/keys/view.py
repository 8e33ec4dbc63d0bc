"""Keys as people see them: everything but what opens."""

from __future__ import annotations

import time
from typing import Literal

import msgspec

from services.gateway.store import keys, sessions
from services.gateway.store.keys import ApiKey, Scope
from shared.contracts.envelope import timestamp
from shared.db import Database


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """``last_used`` is up to ten minutes old. A key that is not ``active`` opens nothing any more."""

    prefix: str
    org_id: str
    scope: Scope
    name: str
    status: Literal["active", "expired", "revoked"]
    created: str
    expires: str | None
    last_used: str | None
    revoked: str | None


async def list_keys(*, org: str | None, database: Database) -> list[KeyView]:
    """Oldest first; of every organisation for None."""
    async with database.read() as db:
        return [key_view(key) for key in await keys.find(db, org=org)]


async def opens(prefix: str, *, session: str | None = None, database: Database) -> bool:
    """Whether a key that was good a while ago still is, and the session that it was used by, if any, is not over."""
    async with database.read() as db:
        key = await keys.get(db, prefix)
        ended = session is not None and await sessions.get(db, session) is None
    return key is not None and key.good(time.time()) and not ended


def key_view(key: ApiKey) -> KeyView:
    return KeyView(
        prefix=key.prefix,
        org_id=key.org_id,
        scope=key.scope,
        name=key.name,
        status="revoked" if key.revoked is not None else "active" if key.good(time.time()) else "expired",
        created=timestamp(key.created),
        expires=_time(key.expires),
        last_used=_time(key.last_used),
        revoked=_time(key.revoked),
    )


def _time(at: float | None) -> str | None:
    return None if at is None else timestamp(at)

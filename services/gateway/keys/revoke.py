"""End a key, and every session that was opened with it."""

from __future__ import annotations

import time

from services.gateway.store import keys, sessions
from services.gateway.store.keys import ApiKey
from shared.db import Database
from shared.errors import NotFound


async def revoke_key(prefix: str, *, org: str | None, database: Database) -> ApiKey:
    """From its commit on the key opens nothing. Done again it gives the same answer.

    Raises ``NotFound``, also for a key of another organisation than ``org``; None is whoever runs the gateway.
    """
    async with database.write() as db:
        key = await keys.get(db, prefix)
        if key is None or org not in {None, key.org_id}:
            raise NotFound("There is no such key.")
        await keys.revoke(db, prefix, now=time.time())
        await sessions.end_of_key(db, prefix)
        return await keys.get(db, prefix) or key

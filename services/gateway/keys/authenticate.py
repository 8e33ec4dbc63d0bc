"""Find the key that a text names, if it is good."""

from __future__ import annotations

import time
from typing import Final

from services.gateway.keys.refused import Unauthorized
from services.gateway.keys.text import parse_key
from services.gateway.keys.throttle import Throttle, address_source
from services.gateway.store import keys
from services.gateway.store.keys import ApiKey
from shared.crypto import hash_token, same
from shared.db import Database

COARSE_S: Final = 600.0
"""``last_used`` is this coarse, so that reading stays reading."""
_NOBODYS: Final = hash_token("")


async def authenticate(text: str, *, address: str | None, throttle: Throttle, database: Database) -> ApiKey:
    """Does the same work for a prefix that exists and one that does not.

    Raises ``Unauthorized``, or ``TooManyFailures`` for a wrong key after too many wrong ones.
    """
    given = parse_key(text)
    sources = [address_source(address), *([f"prefix {given.prefix}"] if given else [])]
    async with database.read() as db:
        key = await keys.get(db, given.prefix if given else "")
    right = same(key.digest if key else _NOBODYS, hash_token(given.secret if given else text))
    now = time.time()
    if key is None or not right or not key.good(now):
        throttle.failed(sources)
        raise Unauthorized
    if key.last_used is None or key.last_used < now - COARSE_S:
        async with database.write() as db:
            await keys.touch(db, key.prefix, now=now, older_than=now - COARSE_S)
    return key

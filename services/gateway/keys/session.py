"""Sessions of the console: signed in with a key, good for as long as the key is and somebody uses them."""

from __future__ import annotations

import secrets
import time
from typing import Final

from services.gateway.keys.authenticate import authenticate
from services.gateway.keys.caller import Caller, caller_with
from services.gateway.keys.throttle import Throttle, address_source
from services.gateway.store import keys, sessions
from services.gateway.store.sessions import Session
from shared.crypto import hash_token
from shared.db import Database

IDLE_S: Final = 12 * 3_600.0
COARSE_S: Final = 300.0
_LONGEST: Final = 128


async def sign_in(
    text: str, *, replaces: str | None, address: str | None, throttle: Throttle, database: Database
) -> str:
    """What the browser is to hold: always new, whatever it held before, which ends here.

    Raises ``Unauthorized`` or ``TooManyFailures``.
    """
    key = await authenticate(text.strip(), address=address, throttle=throttle, database=database)
    token, now = secrets.token_urlsafe(32), time.time()
    async with database.write() as db:
        if replaces:
            await sessions.end(db, hash_token(replaces))
        await sessions.forget(db, before=now - 2 * IDLE_S)
        await sessions.add(db, Session(id=hash_token(token), prefix=key.prefix, created=now, used=now))
    return token


async def sign_out(token: str, *, database: Database) -> None:
    async with database.write() as db:
        await sessions.end(db, hash_token(token))


async def session_caller(
    token: str, *, address: str | None, throttle: Throttle, database: Database, now: float | None = None
) -> Caller | None:
    """None for a session that is over or never was; only the latter counts as a try.

    Raises ``TooManyFailures``.
    """
    sources, id_ = [address_source(address)], hash_token(token[:_LONGEST])
    now = time.time() if now is None else now
    async with database.read() as db:
        session = await sessions.get(db, id_)
        key = None if session is None else await keys.get(db, session.prefix)
    if session is None:
        throttle.failed(sources)
        return None
    if key is None or not key.good(now) or session.used < now - IDLE_S:
        return None
    if session.used < now - COARSE_S:
        async with database.write() as db:
            await sessions.touch(db, id_, now=now, older_than=now - COARSE_S)
            await keys.touch(db, key.prefix, now=now, older_than=now - COARSE_S)
    return caller_with(key, csrf=csrf_token(token), session=id_)


def csrf_token(token: str) -> str:
    """What the session's own pages know and another site's cannot; it opens nothing by itself."""
    return hash_token(f"csrf {token}")

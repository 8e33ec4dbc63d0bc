"""Find out who asks: a program by its key, a browser by the session that it signed in to."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

import msgspec

from services.gateway.security import queries
from services.gateway.security.keys import parse_key
from services.gateway.security.queries import SCOPES, ApiKey, Scope, Session
from services.gateway.throttle import Throttle, address_source
from shared import clock
from shared.crypto import hash_token, same
from shared.db import Database
from shared.errors import TributaryError

NO_KEY: Final = (
    "This needs an API key: send a header `Authorization: Bearer trb_…`. "
    "A key that is missing, unknown, expired or revoked gets this same answer."
)

KEY_COARSE_S: Final = 600.0
"""``last_used_at`` is this coarse, so that reading stays reading."""
_NOBODYS: Final = hash_token("")
IDLE_S: Final = 12 * 3_600.0
SESSION_COARSE_S: Final = 300.0
_LONGEST: Final = 128


class Unauthorized(TributaryError):
    status = 401
    code = "unauthorized"
    headers: Mapping[str, str] = {"www-authenticate": 'Bearer realm="tributary"'}

    def __init__(self, detail: str = NO_KEY) -> None:
        super().__init__(detail)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """``org`` None is everyone's: a gateway that needs no keys.

    ``csrf`` and ``session``, the digest of what the browser holds, are set when a browser's session asks.
    """

    org: str | None
    scope: Scope
    prefix: str | None = None
    key_name: str | None = None
    csrf: str | None = None
    session: str | None = None

    def may(self, needed: Scope) -> bool:
        return SCOPES.index(self.scope) >= SCOPES.index(needed)


ANYONE: Final = Caller(org=None, scope="admin")
"""The caller of a gateway that only this machine can reach."""


def caller_with(key: ApiKey, *, csrf: str | None = None, session: str | None = None) -> Caller:
    return Caller(
        org=key.org_id,
        scope=key.scope,
        prefix=key.prefix,
        key_name=key.name,
        csrf=csrf,
        session=session,
    )


async def authenticate(
    text: str, *, address: str | None, throttle: Throttle, database: Database
) -> ApiKey:
    """Does the same work for a prefix that exists and one that does not.

    Raises ``Unauthorized``, or ``TooManyFailures`` for a wrong key after too many wrong ones.
    """
    given = parse_key(text)
    sources = [address_source(address), *([f"prefix {given.prefix}"] if given else [])]
    async with database.read() as db:
        key = await queries.get_key(db, given.prefix if given else "")
    right = same(key.digest if key else _NOBODYS, hash_token(given.secret if given else text))
    now = clock.now()
    if key is None or not right or not key.good(now):
        throttle.failed(sources)
        raise Unauthorized
    if key.last_used_at is None or key.last_used_at < now - KEY_COARSE_S:
        async with database.write() as db:
            await queries.touch_key(db, key.prefix, now=now, older_than=now - KEY_COARSE_S)
    return key


async def opens(prefix: str, *, session: str | None = None, database: Database) -> bool:
    """Whether a key that was good a while ago still is, and the session that it was used by, if any, is not over."""
    async with database.read() as db:
        key = await queries.get_key(db, prefix)
        ended = session is not None and await queries.get_session(db, session) is None
    return key is not None and key.good(clock.now()) and not ended


async def sign_in(
    text: str, *, replaces: str | None, address: str | None, throttle: Throttle, database: Database
) -> str:
    """What the browser is to hold: always new, whatever it held before, which ends here.

    Raises ``Unauthorized`` or ``TooManyFailures``.
    """
    key = await authenticate(text.strip(), address=address, throttle=throttle, database=database)
    token, now = secrets.token_urlsafe(32), clock.now()
    async with database.write() as db:
        if replaces:
            await queries.end_session(db, hash_token(replaces))
        await queries.forget_sessions(db, before=now - 2 * IDLE_S)
        await queries.add_session(
            db, Session(id=hash_token(token), prefix=key.prefix, created_at=now, used_at=now)
        )
    return token


async def sign_out(token: str, *, database: Database) -> None:
    async with database.write() as db:
        await queries.end_session(db, hash_token(token))


async def session_caller(
    token: str,
    *,
    address: str | None,
    throttle: Throttle,
    database: Database,
    now: float | None = None,
) -> Caller | None:
    """None for a session that is over or never was; only the latter counts as a try.

    Raises ``TooManyFailures``.
    """
    sources, id_ = [address_source(address)], hash_token(token[:_LONGEST])
    now = clock.now() if now is None else now
    async with database.read() as db:
        session = await queries.get_session(db, id_)
        key = None if session is None else await queries.get_key(db, session.prefix)
    if session is None:
        throttle.failed(sources)
        return None
    if key is None or not key.good(now) or session.used_at < now - IDLE_S:
        return None
    if session.used_at < now - SESSION_COARSE_S:
        async with database.write() as db:
            await queries.touch_session(db, id_, now=now, older_than=now - SESSION_COARSE_S)
            await queries.touch_key(db, key.prefix, now=now, older_than=now - SESSION_COARSE_S)
    return caller_with(key, csrf=csrf_token(token), session=id_)


def csrf_token(token: str) -> str:
    """What the session's own pages know and another site's cannot; it opens nothing by itself."""
    return hash_token(f"csrf {token}")

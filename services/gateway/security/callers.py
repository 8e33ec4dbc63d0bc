"""Find out who is calling: a program by its key, a browser by its session."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

import msgspec

from services.gateway.security import queries
from services.gateway.security.keys import parse_key
from services.gateway.security.queries import SCOPES, ApiKey, KeyScope, Session
from services.gateway.throttle import Throttle, address_source
from shared import clock
from shared.crypto import hash_token, same
from shared.db import Database
from shared.errors import TributaryError

NO_KEY: Final = (
    "This needs an API key: send a header `Authorization: Bearer trb_…`. The answer is the "
    "same for a key that is missing, unknown, expired or revoked."
)

KEY_COARSE_S: Final = 600.0
"""Seconds. ``last_used_at`` is only this precise, so that most reads need no write."""
# Compared with when the prefix is unknown, so that the answer takes as long.
_NOBODYS: Final = hash_token("")
# Whoever signs in in the morning stays signed in for the working day.
IDLE_S: Final = 12 * 3_600.0
# An open page asks again and again; few of those requests should write.
SESSION_COARSE_S: Final = 300.0
# Our tokens have 43 characters. Anything longer is a forgery, and is not hashed in full.
_LONGEST: Final = 128


class Unauthorized(TributaryError):
    status = 401
    code = "unauthorized"
    headers: Mapping[str, str] = {"www-authenticate": 'Bearer realm="tributary"'}

    def __init__(self, detail: str = NO_KEY) -> None:
        super().__init__(detail)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A caller. ``org`` None is a gateway without keys, where everyone sees everything.

    ``csrf`` and ``session`` (the digest of the browser's token) are set for a browser's session.
    """

    org: str | None
    scope: KeyScope
    prefix: str | None = None
    key_name: str | None = None
    csrf: str | None = None
    session: str | None = None

    def may(self, needed: KeyScope) -> bool:
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
    """Return the caller with this key.

    It takes the same time whether the prefix exists or not. Raises ``Unauthorized``, or
    ``TooManyFailures`` for a wrong key after too many wrong ones.
    """
    given = parse_key(text)
    sources = [address_source(address), *([f"prefix {given.prefix}"] if given else [])]
    async with database.read() as db:
        # Looked up even if malformed: the time taken must not tell which of the checks failed.
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


async def is_valid(prefix: str, *, session: str | None = None, database: Database) -> bool:
    """Return True while a key is still valid, and so is the session that it was used by, if any."""
    async with database.read() as db:
        key = await queries.get_key(db, prefix)
        ended = session is not None and await queries.get_session(db, session) is None
    return key is not None and key.good(clock.now()) and not ended


async def sign_in(
    text: str, *, replaces: str | None, address: str | None, throttle: Throttle, database: Database
) -> str:
    """Sign a browser in, and return the token of its new session.

    The session that it had before ends. Raises ``Unauthorized`` or ``TooManyFailures``.
    """
    key = await authenticate(text.strip(), address=address, throttle=throttle, database=database)
    token, now = secrets.token_urlsafe(32), clock.now()
    async with database.write() as db:
        if replaces:
            await queries.end_session(db, hash_token(replaces))
        # Kept for as long again after they end: a token without a row counts as a guess.
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
    """Return the caller of a session, None if it is over or never existed.

    Only a token that never existed counts as a failed try. Raises ``TooManyFailures``.
    """
    sources, id_ = [address_source(address)], hash_token(token[:_LONGEST])
    now = clock.now() if now is None else now
    async with database.read() as db:
        session = await queries.get_session(db, id_)
        key = None if session is None else await queries.get_key(db, session.prefix)
    # No comparison in constant time: the lookup is by digest, which tells nothing of the token.
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
    """Return the session's CSRF token.

    Only the session's own pages know it, and it opens nothing by itself.
    """
    return hash_token(f"csrf {token}")

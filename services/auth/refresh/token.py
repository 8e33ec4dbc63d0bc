"""Hand out an access token that is valid now."""

from __future__ import annotations

from typing import Final

from services.auth import credentials, store
from services.auth.context import AuthContext
from services.auth.credentials import Credential
from services.auth.refresh import attempt
from services.auth.refresh.attempt import LIVE
from services.auth.refresh.refresh import UNREADABLE, RefreshCoordinator
from shared.contracts.auth import AccessToken
from shared.contracts.connections import Connection
from shared.crypto import DecryptFailed
from shared.errors import Conflict, NotFound, Unavailable

# Longer than any run of the fetcher, so that a token does not expire in the middle of one.
EARLY_S: Final = 300.0
# The sweeper asks who was here within ten minutes; one write a minute is exact enough.
_TOUCH_S: Final = 60.0


async def access_token(
    connection_id: str,
    stale_version: int | None,
    *,
    coordinator: RefreshCoordinator,
    context: AuthContext,
) -> AccessToken:
    """Return an access token, refreshed if it expires within 5 minutes or was refused.

    ``stale_version`` is the token version that the provider refused. A refresh that fails is no
    error while the token lives and was not refused.

    Raises:
        NotFound: there is no such connection.
        Conflict: a person is needed (``reauth_required``, ``disconnected``, ``decrypt_failed``).
        Unavailable: there is no valid token just now (``provider_unavailable``).
    """
    connection, credential = await _load(connection_id, context)
    if _wants_refresh(connection, credential, stale_version, context.clock()):
        await coordinator.run(connection)
        connection, credential = await _load(connection_id, context)
    if stale_version == connection.token_version or _expired(credential, context.clock()):
        await _stop_if_final(connection, credential, context)
        raise Unavailable(
            "Could not obtain a new access token: the provider is away or refuses for now. "
            "Try again in a minute.",
            code="provider_unavailable",
        )
    return await _answer(connection, credential, context)


async def _load(connection_id: str, context: AuthContext) -> tuple[Connection, Credential]:
    async with context.database.read() as db:
        connection = await store.get_connection(db, connection_id)
        credential = await credentials.get(db, connection_id)
    if connection is None:
        raise NotFound("There is no such connection.")
    if connection.status == "disconnected" or credential is None:
        raise Conflict(
            "This connection was disconnected and its tokens are deleted.", code="disconnected"
        )
    if connection.status not in LIVE:
        raise _reauthorize(connection.reason)
    return connection, credential


def _wants_refresh(
    connection: Connection, credential: Credential, stale_version: int | None, now: float
) -> bool:
    if credential.refresh_sealed is None:
        return False
    ends = credential.access_expires_at
    return stale_version == connection.token_version or (ends is not None and ends - now <= EARLY_S)


def _expired(credential: Credential, now: float) -> bool:
    return credential.access_expires_at is not None and credential.access_expires_at <= now


async def _answer(
    connection: Connection, credential: Credential, context: AuthContext
) -> AccessToken:
    try:
        pair = credentials.opened(connection, credential, context.keyring)
    except DecryptFailed:
        await _quarantine(connection, UNREADABLE, context)
        raise Conflict(UNREADABLE, code="decrypt_failed") from None
    now = context.clock()
    if now - credential.last_used_at > _TOUCH_S:
        async with context.database.write() as db:
            await credentials.touch(db, connection.id, now=now, stale_before=now - _TOUCH_S)
    expires_in = None if pair.access_expires_at is None else pair.access_expires_at - now
    return AccessToken(
        access_token=pair.access.reveal(),
        token_version=connection.token_version,
        expires_in_s=expires_in,
    )


async def _stop_if_final(
    connection: Connection, credential: Credential, context: AuthContext
) -> None:
    """Ask for consent when a token was refused or has expired and nothing can refresh it."""
    if credential.refresh_sealed is None:
        reason = (
            "The provider no longer accepts this connection's token and gave none to refresh it "
            "with. Reconnect."
        )
        await _quarantine(connection, reason, context)
        raise _reauthorize(reason)


async def _quarantine(connection: Connection, reason: str, context: AuthContext) -> None:
    async with context.database.write() as db:
        now = await store.get_connection(db, connection.id)
        if now is not None and now.version == connection.version:
            await attempt.require_consent(db, now, reason, context=context)


def _reauthorize(reason: str | None) -> Conflict:
    return Conflict(
        reason or "The provider asks for consent again. Reconnect.", code="reauth_required"
    )

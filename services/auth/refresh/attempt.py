"""Make the transactions of a refresh: one to begin it, and one for each way it can end."""

from __future__ import annotations

from typing import Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.auth import credentials, store
from services.auth.context import AuthContext
from services.auth.credentials import Credential, Pair
from services.auth.oauth_client import Grant, ProviderFailure
from services.auth.oauth_client.endpoint import granted_resources, metered
from shared.contracts.connections import Connection
from shared.contracts.envelope import new_id, timestamp

ATTEMPT_S: Final = 20.0
"""Twice the deadline of the call, so that nobody else starts while an answer may still come."""
LIVE: Final = frozenset({"active", "degraded"})
# Callers are told to try again in a minute.
LONGEST_WAIT_S: Final = 60.0
log = structlog.get_logger()


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The right to send one refresh.

    ``unresolved`` says that nobody knows the outcome of an earlier one with this refresh token.
    """

    connection: Connection
    credential: Credential
    attempt_id: str
    fingerprint: str
    unresolved: bool


class Busy(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody else is refreshing, ``until`` then at most (epoch seconds)."""

    attempt_id: str
    until: float


async def begin(
    connection_id: str, token_version: int, *, again: bool, context: AuthContext
) -> Claim | Busy | None:
    """Return the right to refresh, or who has it, or None when there is nothing to do.

    Nothing to do: the token version has moved on, the connection is no longer live or cannot be
    refreshed, or it is too early to try again. ``again`` skips that last wait: the caller has just
    met the failure and goes on at once.
    """
    now = context.clock()
    async with context.database.write() as db:
        connection = await store.get_connection(db, connection_id)
        credential = await credentials.get(db, connection_id)
        if (
            connection is None
            or credential is None
            or connection.status not in LIVE
            or connection.token_version != token_version
        ):
            return None
        if credential.attempt_id is not None and credential.refresh_until > now:
            return Busy(attempt_id=credential.attempt_id, until=credential.refresh_until)
        if credential.fingerprint is None or (credential.retry_at > now and not again):
            return None
        unresolved = (
            credential.attempt_id is not None
            and credential.attempt_fingerprint == credential.fingerprint
        )
        replays = credential.replays if unresolved else 0
        attempt_id = new_id()
        if not await credentials.claim(
            db, credential, attempt_id, until=now + ATTEMPT_S, replays=replays
        ):
            return Busy(attempt_id="", until=now)
    return Claim(
        connection=connection,
        credential=msgspec.structs.replace(credential, replays=replays),
        attempt_id=attempt_id,
        fingerprint=credential.fingerprint,
        unresolved=unresolved,
    )


async def keep(claim: Claim, grant: Grant, *, context: AuthContext) -> bool:
    """Store the new pair, however late it came; return whether it is of use.

    It is of no use when somebody disconnected or consented again meanwhile: the row then no longer
    holds the refresh token that the pair was made from.
    """
    async with context.database.write() as db:
        connection = await store.get_connection(db, claim.connection.id)
        if connection is None:
            return False
        pair = _completed(grant.pair, claim, context)
        credential = credentials.sealed(connection, pair, context.keyring)
        if not await credentials.exchange(db, credential, made_from=claim.fingerprint):
            return False
        kind = "Refreshed" if connection.status in LIVE else "Recovered"
        await store.publish(db, _renewed(connection, grant, kind, context), kind)
    log.info(
        "refreshed",
        connection_id=connection.id,
        provider=connection.provider,
        token_version=connection.token_version + 1,
    )
    return True


def _completed(pair: Pair, claim: Claim, context: AuthContext) -> Pair:
    """Return the pair with a refresh token in it."""
    # RFC 6749 §6: without a new refresh token, the old one stays valid.
    if pair.refresh is not None:
        return pair
    old = credentials.opened(claim.connection, claim.credential, context.keyring)
    expires = pair.refresh_expires_at or old.refresh_expires_at
    return msgspec.structs.replace(pair, refresh=old.refresh, refresh_expires_at=expires)


def _renewed(connection: Connection, grant: Grant, kind: str, context: AuthContext) -> Connection:
    scopes = connection.scopes if grant.scopes is None else grant.scopes
    endpoint = context.endpoints.get(connection.provider)
    resources, known = connection.resources, connection.metered
    if endpoint is not None:
        resources = granted_resources(endpoint.provider, scopes)
        identity = endpoint.provider.oauth.identity
        known = known | metered(identity, grant, account_id=connection.account.id)
    return msgspec.structs.replace(
        connection,
        version=connection.version + 1,
        token_version=connection.token_version + 1,
        status="active",
        reason=None,
        scopes=scopes,
        resources=resources,
        metered=known,
        sync_id=new_id() if kind == "Recovered" else connection.sync_id,
        updated_at=timestamp(context.clock()),
    )


async def give_up(claim: Claim, reason: str, *, context: AuthContext) -> None:
    """Mark the grant as dead, unless another attempt or consent has changed the row since."""
    async with context.database.write() as db:
        own = await credentials.settle(
            db, claim.connection.id, claim.attempt_id, known=True, retry_at=0.0
        )
        connection = await store.get_connection(db, claim.connection.id) if own else None
        if connection is None or connection.status not in LIVE:
            return
        await require_consent(db, connection, reason, context=context)


async def require_consent(
    db: AsyncConnection, connection: Connection, reason: str, *, context: AuthContext
) -> None:
    """Mark a connection as needing a person. ``reason`` is the sentence that they are shown."""
    stopped = msgspec.structs.replace(
        connection,
        version=connection.version + 1,
        status="reauth_required",
        reason=reason,
        updated_at=timestamp(context.clock()),
    )
    await store.publish(db, stopped, "ReauthorizationNeeded")
    log.warning(
        "reauthorization_needed",
        connection_id=connection.id,
        provider=connection.provider,
        reason=reason,
    )


async def retry_later(
    claim: Claim,
    failure: ProviderFailure | None,
    *,
    known: bool,
    context: AuthContext,
    replays: int = 0,
) -> None:
    """Set the time of the next try after a failure.

    ``known`` False keeps the attempt in the journal: it, or one before it, may have had its effect.
    """
    # 1, 2, 4, … 60 seconds, or longer where the provider asks for it.
    growing = min(LONGEST_WAIT_S, 2.0 ** min(claim.credential.failures, 6))
    told = failure.after_s if failure is not None and failure.after_s is not None else 0.0
    retry_at = context.clock() + max(growing, told)
    async with context.database.write() as db:
        await credentials.settle(
            db,
            claim.connection.id,
            claim.attempt_id,
            known=known,
            retry_at=retry_at,
            replays=replays,
        )
    log.warning(
        "refresh_failed",
        connection_id=claim.connection.id,
        provider=claim.connection.provider,
        failure=type(failure).__name__ if failure else "ProbeUndecided",
        status=failure.status if failure else 0,
        error_code=failure.code if failure else "",
        outcome_known=known,
    )

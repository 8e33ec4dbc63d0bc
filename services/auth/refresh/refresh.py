"""Refresh a connection once, and resolve a refresh whose answer was lost."""

from __future__ import annotations

import asyncio
from typing import Final, Literal, final

import structlog

from services.auth import credentials, store
from services.auth.context import AuthContext
from services.auth.metrics import REFRESHES
from services.auth.oauth_client import (
    Away,
    BadClient,
    DeadGrant,
    Grant,
    JustRefreshed,
    Lost,
    ProviderFailure,
    Refused,
    TokenEndpoint,
)
from services.auth.refresh import attempt
from services.auth.refresh.attempt import Busy, Claim, begin
from shared.contracts.connections import Connection
from shared.crypto import DecryptFailed, UnknownKey
from shared.failpoints import failpoint
from shared.settings import configured_for
from shared.transient import is_transient

ROUNDS: Final = 3
"""A refresh, the replay of a lost one, and the verdict when the replay is lost too."""
# Others wait for a refresh that takes a few hundred milliseconds: look twenty times a second.
_LOOK_S: Final = 0.05
_AGAIN_S: Final = 0.5
_LOST: Final = (
    "The provider's answer to a token refresh was lost, and it no longer accepts the old tokens. "
    "Reconnect."
)
_DEAD: Final = (
    "{name} no longer accepts this connection: access was withdrawn or has expired. Reconnect."
)
UNREADABLE: Final = (
    "The stored tokens of this connection cannot be opened: they were altered or moved. Reconnect."
)
# Less than the ten seconds within which a process has to be gone.
_STOP_S: Final = 3.0
log = structlog.get_logger()


@final
class RefreshCoordinator:
    """Run one refresh per connection at a time, each in a task of its own.

    A caller that goes away must not cut off an answer with new tokens in it.
    """

    def __init__(self, context: AuthContext) -> None:
        self._context = context
        self._running: dict[str, asyncio.Task[None]] = {}

    async def run(self, connection: Connection) -> None:
        """Refresh unless the token version has moved on already; join a refresh under way.

        Raises:
            BadRequest: the provider is no longer set up.
            UnknownKey: the key that sealed the tokens is missing.
        """
        task = self._running.get(connection.id)
        if task is None:
            endpoint = configured_for(connection.provider, self._context.endpoints)
            work = refresh(connection.id, connection.token_version, endpoint, context=self._context)
            task = asyncio.create_task(work, name=f"refresh {connection.id}")
            self._running[connection.id] = task
            task.add_done_callback(lambda done: self._ended(connection.id, done))
        await asyncio.shield(task)

    async def stop(self) -> None:
        """Give running refreshes 3 s to store their answer.

        The journal has those that are cut off.
        """
        running = list(self._running.values())
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=_STOP_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _ended(self, connection_id: str, task: asyncio.Task[None]) -> None:
        self._running.pop(connection_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("refresh_broke", connection_id=connection_id, exc_info=error)


async def refresh(
    connection_id: str, token_version: int, endpoint: TokenEndpoint, *, context: AuthContext
) -> None:
    """Refresh a connection. It ends with new tokens, with a later try, or needing a person."""
    rounds = 0
    while rounds < ROUNDS:
        async with endpoint.refresh_permits:
            found = await begin(connection_id, token_version, again=rounds > 0, context=context)
            if isinstance(found, Claim):
                rounds += 1
                if await _attempt(found, endpoint, context) == "again":
                    continue
                return
        if found is None:
            return
        await _other_ended(connection_id, token_version, found, context)


async def _attempt(
    claim: Claim, endpoint: TokenEndpoint, context: AuthContext
) -> Literal["done", "again"]:
    slug = endpoint.provider.slug
    try:
        pair = credentials.opened(claim.connection, claim.credential, context.keyring)
    except DecryptFailed:
        REFRESHES.add(slug, "unreadable")
        await attempt.give_up(claim, UNREADABLE, context=context)
        return "done"
    except UnknownKey:  # the operator can still bring the key back, so overwrite nothing
        REFRESHES.add(slug, "unreadable")
        await attempt.retry_later(claim, None, known=not claim.unresolved, context=context)
        raise
    if pair.refresh is None or not await _may_send(claim, endpoint, context):
        return "done"
    failpoint("before_refresh_send")
    try:
        grant = await endpoint.refresh(pair.refresh)
    except ProviderFailure as failure:
        REFRESHES.add(slug, failure.outcome)
        return await _failed(claim, failure, endpoint, context)
    failpoint("after_refresh_answer")
    kept = await _kept(claim, grant, context)
    failpoint("after_refresh_store")
    REFRESHES.add(slug, "refreshed" if kept else "unwanted")
    if not kept:
        await _forget_late(grant.pair, claim, endpoint, context)
    return "done"


async def _kept(claim: Claim, grant: Grant, context: AuthContext) -> bool:
    """Store a new pair, trying for as long as the database is away."""
    # By now the old tokens may be worthless, and the only copy of the new ones is in this process.
    while True:
        try:
            return await attempt.keep(claim, grant, context=context)
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning(
                "refreshed_not_stored",
                connection_id=claim.connection.id,
                error=type(error).__name__,
            )
            await asyncio.sleep(_AGAIN_S)


async def _may_send(claim: Claim, endpoint: TokenEndpoint, context: AuthContext) -> bool:
    """Return whether the refresh token may be sent."""
    # Some providers end the whole grant when they see a retired refresh token. So after an attempt
    # of unknown outcome, probe with the old access token, and replay the refresh once at most.
    if not (claim.unresolved and endpoint.provider.oauth.rotates):
        return True
    match await _old_token(claim, endpoint, context):
        case "lives":  # the provider ends both tokens at a refresh, so the lost one did not happen
            return True
        case "undecided":
            await attempt.retry_later(
                claim, None, known=False, replays=claim.credential.replays, context=context
            )
            return False
        case "refused":
            pass
    if claim.credential.replays > 0:
        await attempt.give_up(claim, _LOST, context=context)
        return False
    async with context.database.write() as db:
        return await credentials.count_replay(db, claim.connection.id, claim.attempt_id)


async def _old_token(
    claim: Claim, endpoint: TokenEndpoint, context: AuthContext
) -> Literal["lives", "refused", "undecided"]:
    """Return whether the provider still accepts the old access token.

    An expired one counts as refused, and so does one for which there is no call to probe with.
    """
    expires = claim.credential.access_expires_at
    if not endpoint.can_probe or (expires is not None and expires <= context.clock()):
        return "refused"
    pair = credentials.opened(claim.connection, claim.credential, context.keyring)
    return await endpoint.probe(pair.access)


async def _failed(
    claim: Claim, failure: ProviderFailure, endpoint: TokenEndpoint, context: AuthContext
) -> Literal["done", "again"]:
    lost = claim.unresolved and endpoint.provider.oauth.rotates
    match failure:
        case JustRefreshed() if lost:  # it was us: nobody else has this token
            await attempt.give_up(claim, _LOST, context=context)
        case DeadGrant():
            reason = _LOST if lost else _DEAD.format(name=endpoint.provider.name)
            await attempt.give_up(claim, reason, context=context)
        case Lost() if endpoint.provider.oauth.rotates:
            replays = claim.credential.replays + claim.unresolved
            await attempt.retry_later(claim, failure, known=False, replays=replays, context=context)
            return "again"
        case Away() | Lost() | BadClient() | Refused() | ProviderFailure():
            # A failure that is known to be one says nothing of an earlier attempt without an
            # outcome.
            await attempt.retry_later(claim, failure, known=not claim.unresolved, context=context)
    return "done"


async def _forget_late(
    pair: credentials.Pair, claim: Claim, endpoint: TokenEndpoint, context: AuthContext
) -> None:
    """Revoke a pair that came after its connection was disconnected."""
    async with context.database.read() as db:
        connection = await store.get_connection(db, claim.connection.id)
        wanted = connection is not None and connection.status != "disconnected"
        if wanted or await store.shares_grant(db, claim.connection):
            return
    try:
        await endpoint.revoke(pair)
    except ProviderFailure:
        return


async def _other_ended(
    connection_id: str, token_version: int, other: Busy, context: AuthContext
) -> None:
    """Wait until another process has ended its refresh, or its time is over."""
    while context.clock() < other.until:
        await asyncio.sleep(_LOOK_S)
        async with context.database.read() as db:
            connection = await store.get_connection(db, connection_id)
            credential = await credentials.get(db, connection_id)
        if connection is None or credential is None or connection.token_version != token_version:
            return
        if credential.attempt_id != other.attempt_id or credential.refresh_until <= context.clock():
            return

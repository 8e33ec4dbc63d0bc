"""End a connection: here at once, at the provider if that can be done."""

from __future__ import annotations

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.auth.call import Means, ProviderFailure
from services.auth.store import connections, credentials
from services.auth.store.credentials import Pair
from shared.contracts.connections import Connection
from shared.contracts.envelope import timestamp
from shared.crypto import DecryptFailed, UnknownKey
from shared.errors import NotFound

_log = structlog.get_logger("tributary.auth")


async def disconnect(connection_id: str, *, means: Means) -> Connection:
    """Done again it gives the same answer. Whatever the provider says to the revocation, the tokens are deleted here.

    Raises ``NotFound``.
    """
    async with means.database.write() as tx:
        connection = await connections.get(tx, connection_id)
        if connection is None:
            raise NotFound("There is no such connection.")
        if connection.status == "disconnected":
            return connection
        pair = await _unshared_tokens(tx, connection, means)
        connection = msgspec.structs.replace(
            connection,
            version=connection.version + 1,
            status="disconnected",
            reason=None,
            updated=timestamp(means.clock()),
        )
        await credentials.drop(tx, connection_id)
        await connections.publish(tx, connection, "Disconnected")
    _log.info("disconnected", connection=connection_id, provider=connection.provider)
    if pair is not None:
        await _revoke(connection, pair, means)
    return connection


async def _unshared_tokens(tx: AsyncConnection, connection: Connection, means: Means) -> Pair | None:
    """None when another live connection stands on the same grant: revoking would end that one too."""
    credential = await credentials.get(tx, connection.id)
    if credential is None or await connections.shares_grant(tx, connection):
        return None
    try:
        return credentials.opened(connection, credential, means.keyring)
    except (DecryptFailed, UnknownKey):
        _log.warning("not_revoked", connection=connection.id, why="the stored tokens cannot be opened")
        return None


async def _revoke(connection: Connection, pair: Pair, means: Means) -> None:
    endpoint = means.endpoints.get(connection.provider)
    if endpoint is None:
        return
    try:
        await endpoint.revoke(pair)
    except ProviderFailure as failure:
        _log.warning(
            "not_revoked",
            connection=connection.id,
            provider=connection.provider,
            failure=type(failure).__name__,
            status=failure.status,
        )

"""End a connection: here at once, and at the provider if possible.

Deleting our tokens must not depend on a provider that is away, so revoking comes afterwards.
"""

from __future__ import annotations

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.auth import credentials, store
from services.auth.context import AuthContext
from services.auth.credentials import Pair
from services.auth.oauth_client import ProviderFailure
from shared.contracts.connections import Connection
from shared.contracts.envelope import timestamp
from shared.crypto import DecryptFailed, UnknownKey
from shared.errors import NotFound

log = structlog.get_logger()


async def disconnect(connection_id: str, *, context: AuthContext) -> Connection:
    """Delete the tokens, publish ``Disconnected`` and revoke the grant. Idempotent.

    The tokens are deleted here whatever the provider answers.

    Raises:
        NotFound: there is no such connection.
    """
    async with context.database.write() as db:
        connection = await store.get_connection(db, connection_id)
        if connection is None:
            raise NotFound(
                "There is no such connection. GET /v1/connections lists those there are."
            )
        if connection.status == "disconnected":
            return connection
        pair = await _unshared_tokens(db, connection, context)
        connection = msgspec.structs.replace(
            connection,
            version=connection.version + 1,
            status="disconnected",
            reason=None,
            updated_at=timestamp(context.clock()),
        )
        await credentials.drop(db, connection_id)
        await store.publish(db, connection, "Disconnected")
    log.info("disconnected", connection_id=connection_id, provider=connection.provider)
    if pair is not None:
        await _revoke(connection, pair, context)
    return connection


async def _unshared_tokens(
    db: AsyncConnection, connection: Connection, context: AuthContext
) -> Pair | None:
    """Return the tokens to revoke, None when another live connection uses the same grant."""
    # Revoking ends the whole grant, and with it the other connection.
    credential = await credentials.get(db, connection.id)
    if credential is None or await store.shares_grant(db, connection):
        return None
    try:
        return credentials.opened(connection, credential, context.keyring)
    except (DecryptFailed, UnknownKey):
        log.warning("not_revoked", connection_id=connection.id, reason="stored tokens unreadable")
        return None


async def _revoke(connection: Connection, pair: Pair, context: AuthContext) -> None:
    endpoint = context.endpoints.get(connection.provider)
    if endpoint is None:
        return
    try:
        await endpoint.revoke(pair)
    except ProviderFailure as failure:
        log.warning(
            "not_revoked",
            connection_id=connection.id,
            provider=connection.provider,
            failure=type(failure).__name__,
            status=failure.status,
        )

"""Turn a grant into a connection: a new one, or the one that this identity had before."""

from __future__ import annotations

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.auth.context import AuthContext
from services.auth.oauth_client import Grant, Identified, TokenEndpoint
from services.auth.oauth_client.token_response import granted_resources
from services.auth.store import connections, credentials
from services.auth.store.flows import FlowRow
from shared.contracts.connections import Account, Connection
from shared.contracts.envelope import new_id, timestamp


async def save_connection(
    db: AsyncConnection, flow: FlowRow, grant: Grant, who: Identified, *, endpoint: TokenEndpoint, context: AuthContext
) -> tuple[Connection, str]:
    """Connection, tokens and event in the caller's transaction; returns the snapshot and the kind of its event."""
    fresh = _fresh(flow, grant, who, endpoint, timestamp(context.clock()))
    old = await connections.by_identity(db, fresh)
    connection, kind = (fresh, "Connected") if old is None else _again(old, fresh)
    await connections.publish(db, connection, kind)
    credential = credentials.sealed(connection, grant.pair, context.keyring)
    await credentials.put(db, msgspec.structs.replace(credential, last_used_at=context.clock()))
    return connection, kind


def _fresh(flow: FlowRow, grant: Grant, who: Identified, endpoint: TokenEndpoint, now: str) -> Connection:
    scopes = endpoint.runtime.scopes if grant.scopes is None else grant.scopes
    return Connection(
        id=new_id(),
        version=1,
        generation=1,
        org_id=flow.org_id,
        user_id=flow.user_id,
        provider=flow.provider,
        client_id=endpoint.runtime.client_id,
        account=Account(id=who.account_id, name=who.account_name),
        grantee=who.grantee,
        status="active",
        scopes=scopes,
        resources=granted_resources(endpoint.provider, scopes),
        token_version=1,
        sync_id=new_id(),
        created_at=now,
        updated_at=now,
    )


def _again(old: Connection, fresh: Connection) -> tuple[Connection, str]:
    """Token versions never repeat, so that a token cached before a disconnect is not taken for the new one."""
    returned = old.status == "disconnected"
    connection = msgspec.structs.replace(
        fresh,
        id=old.id,
        version=old.version + 1,
        generation=old.generation + returned,
        token_version=old.token_version + 1,
        created_at=old.created_at,
    )
    return connection, "Connected" if returned else "Recovered"

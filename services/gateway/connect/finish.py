"""Finish a consent and end a connection: auth decides, and what it answers is written through before we answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from services.gateway.connect import queries as flows
from services.gateway.connect.flow import dropped_cookie, flow_cookies
from services.gateway.connections import queries as connections
from services.gateway.context import GatewayContext
from services.gateway.project import apply_connection
from services.gateway.store import READ_MODEL
from shared.contracts.auth import Callback, CallbackResult, ErrorBody, Flow
from shared.contracts.connections import Connection
from shared.errors import NotFound

LONGEST_PARAMETER: Final = 4_096


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """Either ``connection`` or ``error`` is set. ``return_url`` already carries the flow's id, and nothing else."""

    flow: Flow | None = None
    connection: Connection | None = None
    error: ErrorBody | None = None
    return_url: str | None = None
    cookie: str | None = None


async def finish_connect(
    provider: str, *, params: Mapping[str, str], cookies: Mapping[str, str], context: GatewayContext
) -> Finished:
    """When this returns, the connection and its first sync are in the gateway's own tables: clients read their writes.

    Raises ``Unavailable`` when auth does not answer; what a browser or a provider did wrong comes back as ``error``.
    """
    configured = context.require_provider(provider)
    cut = {name[:LONGEST_PARAMETER]: value[:LONGEST_PARAMETER] for name, value in params.items()}
    result = await context.auth.finish_flow(Callback(provider=provider, params=cut, cookies=flow_cookies(cookies)))
    async with context.database.write(lock=READ_MODEL) as db:
        if result.connection is not None:
            await apply_connection(db, result.connection, provider=configured.provider)
        if result.flow is not None:
            await flows.forget(db, result.flow.flow_id)
    context.watch.changed()
    return _finished(result, context)


def _finished(result: CallbackResult, context: GatewayContext) -> Finished:
    flow = result.flow
    return Finished(
        flow=flow,
        connection=result.connection,
        error=result.error,
        return_url=with_flow(flow.return_url, flow.flow_id) if flow and flow.return_url else None,
        cookie=dropped_cookie(flow.flow_id, context=context) if flow else None,
    )


def with_flow(url: str, flow_id: str) -> str:
    """``url`` with ``flow_id`` added to its query."""
    parts = urlsplit(url)
    query = "&".join(filter(None, [parts.query, urlencode({"flow_id": flow_id})]))
    return urlunsplit(parts._replace(query=query))


async def disconnect(connection_id: str, *, context: GatewayContext) -> Connection:
    """Done again it gives the same answer. Raises ``NotFound``."""
    if context.org is not None:
        async with context.database.read() as db:
            if await connections.get(db, connection_id, org=context.org) is None:
                raise NotFound("There is no such connection.")
    snapshot = await context.auth.disconnect(connection_id)
    configured = context.settings.providers.get(snapshot.provider)
    async with context.database.write(lock=READ_MODEL) as db:
        await apply_connection(db, snapshot, provider=configured.provider if configured else None)
    context.watch.changed()
    return snapshot

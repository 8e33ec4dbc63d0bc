"""Finish a consent: the provider sent the browser back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from services.gateway.connect.open import dropped_cookie, flow_cookies
from services.gateway.hub import Hub
from services.gateway.snapshot import take_snapshot
from services.gateway.store import READ_MODEL, flows
from shared.contracts.auth import Callback, CallbackResult, ErrorBody, Flow
from shared.contracts.connections import Connection

LONGEST_PARAMETER: Final = 4_096


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """Either ``connection`` or ``error`` is set. ``return_url`` already carries the flow's id, and nothing else."""

    flow: Flow | None = None
    connection: Connection | None = None
    error: ErrorBody | None = None
    return_url: str | None = None
    cookie: str | None = None


async def finish_connect(provider: str, *, params: Mapping[str, str], cookies: Mapping[str, str], hub: Hub) -> Finished:
    """When this returns, the connection and its first sync are in the gateway's own tables: clients read their writes.

    Raises ``Unavailable`` when auth does not answer; what a browser or a provider did wrong comes back as ``error``.
    """
    offered = hub.offered(provider)
    cut = {name[:LONGEST_PARAMETER]: value[:LONGEST_PARAMETER] for name, value in params.items()}
    result = await hub.auth.finish_flow(Callback(provider=provider, params=cut, cookies=flow_cookies(cookies)))
    async with hub.database.write(lock=READ_MODEL) as db:
        if result.connection is not None:
            await take_snapshot(db, result.connection, provider=offered.provider)
        if result.flow is not None:
            await flows.forget(db, result.flow.flow_id)
    hub.watch.changed()
    return _finished(result, hub)


def _finished(result: CallbackResult, hub: Hub) -> Finished:
    flow = result.flow
    return Finished(
        flow=flow,
        connection=result.connection,
        error=result.error,
        return_url=with_flow(flow.return_url, flow.flow_id) if flow and flow.return_url else None,
        cookie=dropped_cookie(flow.flow_id, hub=hub) if flow else None,
    )


def with_flow(url: str, flow_id: str) -> str:
    """``url`` with ``flow_id`` added to its query."""
    parts = urlsplit(url)
    query = "&".join(filter(None, [parts.query, urlencode({"flow_id": flow_id})]))
    return urlunsplit(parts._replace(query=query))

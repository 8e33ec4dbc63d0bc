"""Request a sync of a connection."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway import store
from services.gateway.connections import queries as connections
from services.gateway.context import GatewayContext
from services.gateway.store import READ_MODEL
from services.gateway.syncs import queries as syncs
from services.gateway.syncs.queries import Sync
from shared import clock
from shared.connector import Provider
from shared.contracts.connections import Connection
from shared.contracts.envelope import Message, event, new_id, timestamp
from shared.contracts.syncs import SyncRequested
from shared.contracts.topics import SYNCS
from shared.contracts.vocabulary import Trigger
from shared.errors import BadRequest, quoted
from shared.failpoints import failpoint
from shared.settings import configured_for
from shared.telemetry import current_traceparent


async def request_sync(
    connection_id: str,
    *,
    mode: str | None = None,
    resources: Sequence[str] | None = None,
    background: bool = False,
    context: GatewayContext,
) -> Sync:
    """Request a sync. It is committed when this returns, so it survives a crash.

    The fetcher decides which running work it joins. ``resources`` None means all of them; a
    ``background`` sync lets everything else go first.

    Raises ``NotFound``, ``BadRequest`` for a mode or resource that does not exist, and ``Conflict``
    for a connection that was disconnected or must be connected again.
    """
    _check_mode(mode)
    async with context.database.write(lock=READ_MODEL) as db:
        # Read under the lock: a disconnect is either seen here, or comes after the request.
        connection = await connections.get(db, connection_id, org=context.org)
        if connection is None:
            raise connections.unknown()
        configured = configured_for(connection.provider, context.settings.providers)
        chosen = chosen_resources(resources, configured.provider)
        connections.check_loadable(connection, configured.provider)
        provider = configured.provider
        sync = await add_sync(
            db, connection, provider, resources=chosen, trigger="person", background=background
        )
    failpoint("after_sync_row")
    return sync


async def add_sync(
    db: AsyncConnection,
    connection: Connection,
    provider: Provider,
    *,
    resources: tuple[str, ...],
    trigger: Trigger,
    background: bool = False,
) -> Sync:
    """Add the sync's row and its event in the caller's transaction."""
    whole = len(resources) == len(provider.resources)
    sync = Sync(
        id=new_id(),
        connection_id=connection.id,
        mode="full",
        resources=resources,
        whole=whole,
        trigger=trigger,
        # As precise as the event, so that a rebuilt row is the same.
        requested_at=round(clock.now(), 3),
    )
    await syncs.add(db, sync)
    await store.send(db, sync_requested(sync, background=background))
    return sync


def sync_requested(sync: Sync, *, background: bool = False) -> Message:
    """Return the message that makes the fetcher run the sync. It does so once."""
    asked = SyncRequested(
        sync_id=sync.id,
        connection_id=sync.connection_id,
        resources=None if sync.whole else sync.resources,
        trigger=sync.trigger,
        requested_at=timestamp(sync.requested_at),
        # Named here, so that a later release that rebuilds the row adds no newer resources to it.
        resolved_resources=sync.resources,
        background=background,
    )
    return event(
        SYNCS,
        key=sync.connection_id,
        kind="SyncRequested",
        source="gateway",
        body=asked,
        traceparent=current_traceparent(),
    )


def chosen_resources(wanted: Sequence[str] | None, provider: Provider) -> tuple[str, ...]:
    """Return the resources in the provider's order, each once. Raises ``BadRequest``."""
    known = [resource.slug for resource in provider.resources]
    if wanted is None:
        return tuple(known)
    unknown = sorted(set(wanted) - set(known))
    if unknown or not wanted:
        named = f"{', '.join(unknown)[:200]}: no such resource" if unknown else "resources is empty"
        raise BadRequest(
            f"{named}. {provider.name} has: {', '.join(known)}.",
            code="unknown_resource",
            field="resources",
        )
    return tuple(slug for slug in known if slug in wanted)


def _check_mode(mode: str | None) -> None:
    if mode == "incremental":
        raise BadRequest(
            "The mode incremental does not exist yet; use full.", code="unknown_mode", field="mode"
        )
    if mode is not None and mode != "full":
        raise BadRequest(
            f"{quoted(mode)} is not a mode. The only one is full.",
            code="unknown_mode",
            field="mode",
        )

"""Load all that a connection holds and wait for it, joining what already runs."""

from __future__ import annotations

import time
from typing import Final

from services.gateway.hub import Hub
from services.gateway.load.rows import OriginalItem, original_rows
from services.gateway.store import READ_MODEL, connections, syncs
from services.gateway.store.syncs import Sync
from services.gateway.sync import SyncView, add_sync, describe_sync, view
from services.gateway.sync.request import check_loadable, chosen_resources
from shared.connector import Provider
from shared.contracts.connections import Connection
from shared.errors import Conflict, TimedOut, Upstream

FRESH_S: Final = 30.0
WAIT_S: Final = 600.0


async def newest_connection(*, provider: str, org_id: str, user_id: str, hub: Hub) -> Connection | None:
    """The connection of that user that was consented to last, of those that can be loaded.

    Raises ``Forbidden`` for another organisation than the caller's.
    """
    hub.check_org(org_id)
    async with hub.database.read() as db:
        found = await connections.find(
            db, org_id=org_id, user_id=user_id, provider=provider, statuses=("active", "degraded")
        )
    return max(found, key=_consented) if found else None


def _consented(connection: Connection) -> tuple[str, str, str]:
    """``sync_id`` is the UUIDv7 of the last consent's event, so it sorts by its time."""
    return connection.sync_id or "", connection.created, connection.id


async def load_everything(
    connection: Connection, *, hub: Hub, wait_s: float = WAIT_S, fresh_s: float = FRESH_S
) -> list[OriginalItem]:
    """Wait for what loads already; join it if it is whole, else take a good result that is not old, or start one.

    Raises ``Conflict`` when the account must be connected again, ``TimedOut`` with the counts so far, ``Upstream``
    naming each resource that failed and why.
    """
    provider = hub.offered(connection.provider).provider
    deadline = time.monotonic() + wait_s
    async with hub.database.read() as db:
        running = await syncs.running(db, connection.id)
    for one in running:
        await _ended(one, deadline, hub)
    sync = next((one for one in running if one.whole), None)
    shown = await _ended(sync or await _join_or_start(connection, provider, hub, fresh_s), deadline, hub)
    if shown.state != "done":
        raise Upstream(_failures(shown, provider), code="load_failed")
    async with hub.database.read() as db:
        now = await connections.get(db, connection.id)
        if now is None or now.status == "disconnected":
            raise Conflict("The account was disconnected while it was loading.", code="disconnected")
        return await original_rows(db, connection.id, provider)


async def _ended(sync: Sync, deadline: float, hub: Hub) -> SyncView:
    """Raises ``TimedOut`` when it still runs at ``deadline``, in monotonic seconds."""
    while (shown := await describe_sync(sync.id, hub=hub)).state == "running":
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimedOut(f"Still loading: {_counts(shown)}. Ask again to go on waiting; nothing is lost.")
        await hub.watch.wait(min(left, 0.5))
    return shown


async def _join_or_start(connection: Connection, provider: Provider, hub: Hub, fresh_s: float) -> Sync:
    async with hub.database.write(lock=READ_MODEL) as db:
        newest = await syncs.newest_whole(db, connection.id)
        if newest is not None:
            if newest.ended is None:
                return newest
            fresh = time.time() - newest.ended < fresh_s
            if fresh and (await view(db, newest)).state == "done":
                return newest
        check_loadable(connection, provider)
        return await add_sync(
            db, connection, provider, resources=chosen_resources(None, provider), why="asked by the original routes"
        )


def _counts(shown: SyncView) -> str:
    return ", ".join(
        f"{one.resource} {one.items}{f' of {one.expected}' if one.expected is not None else ''} ({one.state})"
        for one in shown.resources
    )


def _failures(shown: SyncView, provider: Provider) -> str:
    wrong = (
        f"{one.resource} {one.state}: {one.error.detail if one.error else 'no reason was given'}"
        for one in shown.resources
        if one.state != "done"
    )
    return f"{provider.name} could not be loaded completely. " + " ".join(wrong)

"""Order a waiting sync to be tried now."""

from __future__ import annotations

from collections.abc import Iterable

from services.gateway import store
from services.gateway.context import GatewayContext
from services.gateway.store import READ_MODEL
from services.gateway.syncs import queries as syncs
from services.gateway.syncs.describe import seen
from shared import clock
from shared.contracts.envelope import event
from shared.contracts.progress import JobProgress
from shared.contracts.syncs import RetrySync
from shared.contracts.topics import SYNCS
from shared.errors import Conflict
from shared.telemetry import current_traceparent


async def retry_sync(sync_id: str, *, context: GatewayContext) -> None:
    """Cut the sync's waits short. The order is stored when this returns.

    Raises ``NotFound``, and ``Conflict`` if nothing waits, or if the provider itself has asked for
    every wait.
    """
    async with context.database.write(lock=READ_MODEL) as db:
        sync = await seen(db, sync_id, context)
        told = [one.body for one in await syncs.progress(db, sync.id)]
        _check_retriable(one for one in told if one.state == "waiting")
        order = event(
            SYNCS,
            key=sync.connection_id,
            kind="RetrySync",
            source="gateway",
            body=RetrySync(sync_id=sync.id, connection_id=sync.connection_id),
            traceparent=current_traceparent(),
        )
        await store.send(db, order)


def can_retry(asked_to_wait_until: str | None) -> bool:
    """Return True unless the provider has asked for the wait and its time is not over yet."""
    return asked_to_wait_until is None or syncs.moment(asked_to_wait_until) <= clock.now()


def _check_retriable(waiting: Iterable[JobProgress]) -> None:
    bounds = [one.asked_to_wait_until for one in waiting]
    if not bounds:
        raise Conflict(
            "This sync is not waiting for anything: it is running or has ended.", code="not_waiting"
        )
    if not any(can_retry(one) for one in bounds):
        first = min(one for one in bounds if one is not None)
        raise Conflict(
            f"The provider has asked to wait until {first}. We will try again then.",
            code="asked_to_wait",
        )

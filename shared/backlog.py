"""Measure what an outbox still has to send."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec
from prometheus_client.core import Metric
from sqlalchemy import Table, func, select

from shared.contracts.envelope import Headers, header
from shared.db import Database, db_now
from shared.telemetry import gauge


async def backlog(database: Database, table: Table) -> Iterable[Metric]:
    """Return gauges of the outbox: its rows, and how long the oldest due one has waited."""
    rows = select(func.count()).select_from(table).scalar_subquery()
    timer = select(func.min(table.c.not_before)).where(table.c.not_before > 0).scalar_subquery()
    first = (
        select(table.c.headers)
        .where(table.c.not_before == 0)
        .order_by(table.c.id)
        .limit(1)
        .scalar_subquery()
    )
    async with database.read() as db:
        query = select(
            rows.label("rows"), timer.label("timer"), first.label("first"), db_now().label("now")
        )
        found = (await db.execute(query)).one()
    due = [found.timer, None if found.first is None else _written(found.first)]
    waiting = max((found.now - at for at in due if at is not None), default=0.0)
    return [
        gauge(
            "tributary_outbox_rows",
            "Messages in the outbox, including those that are not due yet.",
            found.rows,
        ),
        gauge(
            "tributary_outbox_oldest_due_seconds",
            "How long the oldest due message has waited to be sent, 0 if none is due.",
            max(0.0, waiting),
        ),
    ]


def _written(headers: bytes) -> float | None:
    """Return when the event of a row happened, from its header.

    A row that is due at once has no time of its own.
    """
    told = header(msgspec.msgpack.decode(headers, type=Headers), "ce_time")
    try:
        return None if told is None else datetime.fromisoformat(told).timestamp()
    except ValueError:
        return None

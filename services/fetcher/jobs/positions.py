"""Tell how far the jobs have written into the items topic."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher.tables import UNFINISHED, jobs

LOOK_BACK_S: Final = 3600.0


async def highest_positions(db: AsyncConnection) -> dict[int, int]:
    """Return partition → the highest offset of an item that the jobs of the last hour have sent.

    That is the last hour in which a job ended.
    """
    newest = select(func.max(jobs.c.changed_at)).where(jobs.c.state == "over").scalar_subquery()
    recent = jobs.c.state.in_(UNFINISHED) | (
        (jobs.c.state == "over") & (jobs.c.changed_at >= newest - LOOK_BACK_S)
    )
    highest: dict[int, int] = {}
    positions = select(jobs.c.item_positions).where(recent).distinct()
    for text in (await db.execute(positions)).scalars():
        for partition, offset in msgspec.json.decode(text, type=dict[int, int]).items():
            highest[partition] = max(highest.get(partition, -1), offset)
    return highest


async def forget_positions(db: AsyncConnection) -> None:
    """Forget where items are in a log that is lost."""
    await db.execute(update(jobs).values(item_positions="{}"))

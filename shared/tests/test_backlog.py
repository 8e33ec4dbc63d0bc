"""The age of the oldest message that should have been sent."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import MetaData

from shared.backlog import backlog
from shared.contracts.envelope import Message, timestamp
from shared.db import Database, Schema
from shared.outbox import append, outbox_table
from tests.servers.places import tables_of
from tests.support.clock import MovableClock

metadata = MetaData()
outbox = outbox_table(metadata)


@pytest.fixture
async def database(place: Path | Schema) -> AsyncIterator[Database]:
    async with tables_of(metadata, place) as database:
        yield database


async def put(
    database: Database, *, ago_s: float = 0.0, delay_s: float = 0.0, told: bytes | None = None
) -> None:
    at = timestamp(time.time() - ago_s).encode() if told is None else told
    message = Message(topic="t", key=b"k", value=b"v", headers=(("ce_time", at),))
    async with database.write() as db:
        await append(db, outbox, [message], delay_s=delay_s)


async def waiting(database: Database) -> tuple[float, float]:
    """Return the number of rows, and the age of the oldest due one."""
    rows, age = await backlog(database, outbox)
    return rows.samples[0].value, age.samples[0].value


async def test_an_empty_outbox_has_no_age(database: Database) -> None:
    assert await waiting(database) == (0, 0)


async def test_a_message_that_is_due_at_once_is_as_old_as_its_event(database: Database) -> None:
    await put(database, ago_s=7_200)
    await put(database, ago_s=3_600)
    rows, age = await waiting(database)
    assert rows == 2
    assert 7_100 < age < 10_000


async def test_a_timer_ages_from_when_it_is_due_and_not_before(
    movable_clock: MovableClock, database: Database
) -> None:
    await put(database, delay_s=7_200)
    assert await waiting(database) == (1, 0)
    await put(database, delay_s=3_600)
    movable_clock.move(seconds=3_900)
    rows, age = await waiting(database)
    assert rows == 2
    assert 300 <= age < 3_000


async def test_a_message_that_does_not_say_its_time_is_counted_all_the_same(
    database: Database,
) -> None:
    await put(database, told=b"\xff")
    await put(database, told=b"yesterday")
    assert await waiting(database) == (2, 0)

"""Messages written with rows are sent: in order per key, when due.

That holds even if the sender dies, at any moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError
from sqlalchemy import MetaData, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection
from typing_extensions import override

from shared.contracts.envelope import Message
from shared.db import Database
from shared.outbox import Relay, append, outbox_table
from tests.support.clock import MovableClock
from tests.support.waiting import until

metadata = MetaData()
outbox = outbox_table(metadata)


class Log:
    """Kafka in memory. ``errors`` are raised first, ``lost`` after the append."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.errors: list[Exception] = []
        self.lost: list[BaseException] = []
        self.away = False

    async def send_all(self, messages: Sequence[Message]) -> dict[int, int]:
        if self.away:
            await asyncio.Event().wait()
        if self.errors:
            raise self.errors.pop(0)
        if any(len(message.value or b"") > 1000 for message in messages):
            raise MessageSizeTooLargeError
        self.messages += messages
        if self.lost:
            raise self.lost.pop(0)
        return {}

    @property
    def values(self) -> list[bytes | None]:
        return [message.value for message in self.messages]


class Shaky(Database):
    """A database whose first reads fail."""

    failing = 0
    reads = 0
    fail_at = -1

    @asynccontextmanager
    @override
    async def read(self) -> AsyncIterator[AsyncConnection]:
        self.reads += 1
        if self.failing or self.reads == self.fail_at:
            self.failing = max(0, self.failing - 1)
            raise OperationalError("select", {}, Exception("the disk is away"))
        async with super().read() as db:
            yield db


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Shaky]:
    database = Shaky(tmp_path / "own.db")
    async with database.write() as db:
        await db.run_sync(metadata.create_all)
    yield database
    await database.close()


def message(value: bytes, key: bytes = b"k") -> Message:
    return Message(topic="t", key=key, value=value, headers=(("h", b"\xff"),))


async def put(database: Database, *messages: Message, delay_s: float = 0.0) -> None:
    async with database.write() as db:
        await append(db, outbox, messages, delay_s=delay_s)


async def left(database: Database) -> int:
    async with database.read() as db:
        return int((await db.execute(select(func.count()).select_from(outbox))).scalar_one())


def relay_of(database: Database, log: Log) -> Relay:
    return Relay(database, outbox, log)  # type: ignore[arg-type]  # Kafka in memory


async def test_messages_leave_in_the_order_of_their_transactions_and_rolled_back_ones_never(
    database: Shaky,
) -> None:
    log = Log()
    relay = relay_of(database, log)
    relay.start()
    for n in range(5):
        await put(database, message(b"%d" % n), message(b"%d'" % n))
    with suppress(ZeroDivisionError):
        async with database.write() as db:
            await append(db, outbox, [message(b"never")])
            _ = 1 / 0
    await relay.stop()
    assert log.values == [b"0", b"0'", b"1", b"1'", b"2", b"2'", b"3", b"3'", b"4", b"4'"]
    assert log.messages[0].headers == (("h", b"\xff"),)
    assert await left(database) == 0


async def test_a_delayed_message_leaves_when_it_is_due_and_holds_up_no_other(
    movable_clock: MovableClock, database: Shaky
) -> None:
    log = Log()
    relay = relay_of(database, log)
    await put(database, message(b"later"), delay_s=3_600)
    await put(database, message(b"now"))
    relay.start()
    await until(lambda: log.values == [b"now"])
    movable_clock.move(seconds=3_000)
    await put(database, message(b"now too"))
    await until(lambda: log.values == [b"now", b"now too"])
    movable_clock.move(seconds=600)
    await until(lambda: log.values == [b"now", b"now too", b"later"])
    await relay.stop()


async def test_a_crash_between_send_and_delete_sends_again_and_loses_nothing(
    database: Shaky,
) -> None:
    log = Log()
    log.lost = [RuntimeError("died")]
    await put(database, message(b"1"), message(b"2"))
    with pytest.raises(RuntimeError, match="died"):
        await relay_of(database, log).send_due()
    assert await left(database) == 2
    relay = relay_of(database, log)
    relay.start()
    await relay.stop()
    assert log.values == [b"1", b"2", b"1", b"2"]
    assert await left(database) == 0


async def test_the_relay_outlives_a_database_and_a_kafka_that_are_away(database: Shaky) -> None:
    log = Log()
    log.errors = [KafkaConnectionError()]
    relay = relay_of(database, log)
    relay.start()
    await put(database, message(b"1"))
    await until(lambda: log.values == [b"1"])
    database.failing = 2
    await put(database, message(b"2"))
    await until(lambda: log.values == [b"1", b"2"])
    await relay.stop()


async def test_the_relay_outlives_a_database_that_goes_while_it_looks_how_long_to_sleep(
    database: Shaky,
) -> None:
    log = Log()
    relay = relay_of(database, log)
    relay.start()
    reads = database.reads
    await until(lambda: database.reads >= reads + 2)  # looked for what is due, and sleeps
    database.fail_at = (
        database.reads + 3
    )  # the next look finds a message, the look after it none, then comes sleep
    await put(database, message(b"1"))
    await until(lambda: database.reads > database.fail_at)
    await put(database, message(b"2"))
    await until(lambda: log.values == [b"1", b"2"])
    await relay.stop()


async def test_the_relay_does_not_wait_for_a_kafka_that_is_away_when_it_stops(
    database: Shaky,
) -> None:
    log = Log()
    log.away = True
    relay = relay_of(database, log)
    relay.start()
    await put(database, message(b"1"))
    await relay.stop()
    assert await left(database) == 1


async def test_a_message_that_no_broker_takes_holds_up_no_other(database: Shaky) -> None:
    log = Log()
    relay = relay_of(database, log)
    await put(database, message(b"1"), message(b"x" * 2000), message(b"3"))
    relay.start()
    await until(lambda: log.values == [b"1", b"3"])
    await relay.stop()
    assert await left(database) == 0


async def test_a_commit_wakes_the_relay_if_it_wrote_a_message_and_only_then(
    database: Shaky,
) -> None:
    wakes: list[bool] = []
    database.on_commit(wakes.append)
    async with database.write() as db:
        await db.execute(select(func.count()).select_from(outbox))
    await put(database, message(b"v"))
    assert wakes == [False, True]

"""Several relays share an outbox: in order per key, no losses, and repeats only after a crash."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from sqlalchemy import func, select

from shared.contracts.envelope import Message
from shared.db import Database, Schema
from shared.outbox import Relay, append
from tests.contract.child import put
from tests.contract.children import child, done, says
from tests.contract.tables import metadata, outbox
from tests.servers.places import tables_of
from tests.support.waiting import turns, until

KEYS = tuple("abcdef")
EACH = 40


class Log:
    """Keep messages in memory as Kafka; ``dies`` stops a sender right after the append."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.asked = 0
        self.dies = False
        self.full: asyncio.Event | None = None
        """While it is there and not set, nothing is taken."""

    async def send_all(self, messages: Sequence[Message]) -> dict[int, int]:
        self.asked += 1
        if self.full is not None:
            await self.full.wait()
        await turns(len(self.messages) % 7)
        self.messages += messages
        if self.dies:
            self.dies = False
            raise RuntimeError("died")
        return {}

    def numbers(self, key: str) -> list[int]:
        return [
            int(message.value or b"") for message in self.messages if message.key == key.encode()
        ]


def relay_of(database: Database, log: Log) -> Relay:
    return Relay(database, outbox, log)  # type: ignore[arg-type]  # Kafka in memory


async def left(database: Database) -> int:
    async with database.read() as db:
        return int((await db.execute(select(func.count()).select_from(outbox))).scalar_one())


async def until_empty(database: Database) -> None:
    async def empty() -> bool:
        return await left(database) == 0

    await until(empty)


async def test_two_relays_send_each_message_once_and_in_the_order_of_its_key(
    database: Database, another: Database, chance: random.Random
) -> None:
    log = Log()
    relays = [relay_of(database, log), relay_of(another, log)]
    for relay in relays:
        relay.start()
    await asyncio.gather(
        *(put(chance.choice((database, another)), key, 0, EACH, per=3) for key in KEYS)
    )
    await until_empty(database)
    for relay in relays:
        await relay.stop()
    assert {key: log.numbers(key) for key in KEYS} == {key: list(range(EACH)) for key in KEYS}


async def test_when_the_relay_that_sends_stops_the_other_one_goes_on(
    database: Database, another: Database
) -> None:
    log = Log()
    first, second = relay_of(database, log), relay_of(another, log)
    first.start()
    await put(database, "a", 0, 5)
    await until_empty(database)
    second.start()
    await first.stop()
    await put(database, "a", 5, 5)
    await until_empty(database)
    await second.stop()
    assert log.numbers("a") == list(range(10))


async def test_after_a_crash_what_was_under_way_comes_again_and_nothing_else(
    database: Database, another: Database
) -> None:
    log = Log()
    await put(database, "a", 0, 5, per=5)
    log.dies = True
    crashed = relay_of(database, log)
    try:
        await crashed.send_due()
    except RuntimeError:
        await database.leader.close()
    await put(database, "a", 5, 5, per=5)
    relay = relay_of(another, log)
    relay.start()
    await until_empty(database)
    await relay.stop()
    assert log.numbers("a") == [*range(5), *range(10)]


async def test_relays_of_several_processes_with_appends_from_several(
    database: Database, place: Path | Schema, tmp_path: Path
) -> None:
    file = tmp_path / "log.txt"
    async with AsyncExitStack() as stack:
        relays = [
            await stack.enter_async_context(child(place, "relay", str(file))) for _ in range(2)
        ]
        assert [await says(one) for one in relays] == ["started", "started"]
        other = await stack.enter_async_context(child(place, "put", "shared", "1000", "30"))
        await asyncio.gather(*(put(database, key, 0, EACH, per=4) for key in (*KEYS, "shared")))
        await done(other)
        await until_empty(database)
        for one in relays:
            assert one.stdin is not None
            one.stdin.write(b"\n")
            await done(one)
    found: dict[str, list[int]] = {}
    for line in file.read_text().splitlines():
        key, number = line.split()
        found.setdefault(key, []).append(int(number))
    assert {key: found[key] for key in KEYS} == {key: list(range(EACH)) for key in KEYS}
    assert sorted(found["shared"]) == [*range(EACH), *range(1000, 1030)]
    for part in (range(EACH), range(1000, 1030)):
        assert [number for number in found["shared"] if number in part] == list(part)


async def test_a_leading_process_that_is_killed_costs_at_most_a_repetition(
    database: Database, place: Path | Schema, tmp_path: Path
) -> None:
    file = tmp_path / "log.txt"
    async with (
        child(place, "relay", str(file)) as first,
        child(place, "relay", str(file)) as second,
    ):
        assert [await says(first), await says(second)] == ["started", "started"]
        putting = asyncio.gather(*(put(database, key, 0, 60) for key in KEYS))
        await until(lambda: begun(file))
        first.kill()
        await putting
        await until_empty(database)
        assert second.stdin is not None
        second.stdin.write(b"\n")
        await done(second)
    for key in KEYS:
        numbers = [
            int(number)
            for line in file.read_text().splitlines()
            for k, number in [line.split()]
            if k == key
        ]
        first_times = list(dict.fromkeys(numbers))
        assert first_times == list(range(60)), "nothing is lost, and each comes first in its order"


async def begun(file: Path) -> bool:
    return bool(await asyncio.to_thread(file.read_text))


async def test_a_row_that_becomes_visible_late_is_neither_skipped_nor_deleted(
    schema: Schema,
) -> None:
    """A row may get a lower number than rows that were sent before it became visible."""
    log = Log()
    async with tables_of(metadata, schema) as database:
        relay = relay_of(database, log)
        async with database.write() as late:
            await append(late, outbox, [Message(topic="t", key=b"late", value=b"1", headers=())])
            await put(database, "early", 0, 3)
            assert await relay.send_due() == 3
            log.full = asyncio.Event()
            await put(database, "early", 3, 2)
            sending = asyncio.create_task(relay.send_due())
            await until(lambda: log.asked == 2)
        log.full.set()
        assert await sending == 2
        assert await left(database) == 1
        assert await relay.send_due() == 1
        assert await left(database) == 0
        assert (log.numbers("early"), log.numbers("late")) == ([0, 1, 2, 3, 4], [1])
        async with database.read() as db:
            newest = (await db.exec_driver_sql("SELECT last_value FROM outbox_id_seq")).scalar_one()
        assert newest == 6
        await database.leader.close()

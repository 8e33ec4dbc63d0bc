"""Read topics as outside programs do, with two clients that know nothing of each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer
from confluent_kafka import Consumer, KafkaError, Message

from tests.support.product import Product
from tests.support.waiting import eventually

ITEMS, CONNECTIONS = "tributary.items.v1", "tributary.connections.v1"


async def records(running: Product, topic: str) -> list[Any]:
    """Return the whole topic from its beginning, in order per partition, without a group."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=running.bootstrap, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        found: list[Any] = []
        while [part for part, end in ends.items() if await consumer.position(part) < end]:
            for some in (await consumer.getmany(timeout_ms=500)).values():
                found += some
        return found
    finally:
        await consumer.stop()


async def last_values(running: Product, topic: str) -> dict[str, bytes | None]:
    return {record.key.decode(): record.value for record in await records(running, topic)}


@contextmanager
def group_of_two(running: Product) -> Iterator[list[Consumer]]:
    settings: dict[str, Any] = {
        "bootstrap.servers": running.bootstrap,
        "group.id": "outside",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
    }
    members = [Consumer(settings) for _ in range(2)]
    try:
        for member in members:
            member.subscribe([ITEMS])
        yield members
    finally:
        for member in members:
            member.close()


def live_keys(members: list[Consumer]) -> set[str]:
    """Return the keys whose last value is not null, once every partition was read to its end."""
    last: dict[str, tuple[int, bool]] = {}
    ended: set[int] = set()
    shares: list[int] = []

    def read() -> bool:
        for member in members:
            for message in member.consume(500, timeout=0.2):
                _fold(message, last, ended)
        shares[:] = [len(member.assignment()) for member in members]
        return min(shares) > 0 and len(ended) == sum(shares)

    eventually(read, every=0)
    return {key for key, (_, alive) in last.items() if alive}


def _fold(message: Message, last: dict[str, tuple[int, bool]], ended: set[int]) -> None:
    error = message.error()
    if error is not None:
        # The documentation calls it so, underscore and all.
        ended_here = KafkaError._PARTITION_EOF  # noqa: SLF001
        assert error.code() == ended_here, error
        ended.add(message.partition() or 0)
        return
    key, offset = (message.key() or b"").decode(), message.offset() or 0
    if offset >= last.get(key, (-1, False))[0]:
        last[key] = (offset, message.value() is not None)

"""A relay that leaves while Kafka is slow lets no one past what its producer still holds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.contracts.envelope import Message
from shared.db import Database
from shared.outbox import Relay, append
from tests.contract.tables import outbox
from tests.support.waiting import until


class Slow:
    """Take messages and acknowledge none."""

    def __init__(self) -> None:
        self.taken: list[Message] = []

    async def send_all(self, messages: Sequence[Message]) -> None:
        self.taken += messages
        await asyncio.Event().wait()


async def test_nobody_else_leads_before_the_producer_is_closed(
    database: Database, another: Database
) -> None:
    slow = Slow()
    async with database.write() as db:
        await append(db, outbox, [Message(topic="t", key=b"k", value=b"v", headers=())])
    relay = Relay(database, outbox, slow)  # type: ignore[arg-type]
    relay.start()
    await until(lambda: slow.taken)
    await relay.stop()
    assert not await another.leader.acquire()
    await database.close()
    assert await another.leader.acquire()

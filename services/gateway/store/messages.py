"""The gateway's outbox."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.tables import outbox
from shared.contracts.envelope import Message
from shared.db import Database
from shared.kafka import Producer
from shared.outbox import Relay, append


async def send(db: AsyncConnection, *messages: Message) -> None:
    """Each leaves once the caller's transaction is committed, and not if it is not."""
    await append(db, outbox, messages)


def relay(database: Database, producer: Producer) -> Relay:
    return Relay(database, outbox, producer)

"""What the verbs on dead letters need, and how they reach Kafka: each for itself, for as long as it takes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka.errors import KafkaError

from services.gateway.dead_letters.dead_letter import parse_id
from shared.db import Database
from shared.errors import Unavailable
from shared.kafka import LogReader, Producer
from shared.settings import Cluster


@dataclass(frozen=True, kw_only=True)
class DeadLetterContext:
    """``log_ids`` tells the identity of each topic's log: a replay is recorded for one of them.

    ``org`` None sees every letter, an organisation only those that name it.
    """

    kafka: Cluster
    database: Database
    log_ids: Mapping[str, str]
    org: str | None = None

    def log_id(self, dead_letter_id: str) -> str:
        """Return the identity of the log that a dead letter lies in."""
        return self.log_ids[parse_id(dead_letter_id)[0].topic]


@asynccontextmanager
async def open_reader(
    context: DeadLetterContext, topics: Collection[str]
) -> AsyncIterator[LogReader]:
    """Raises ``Unavailable`` when Kafka is."""
    try:
        async with LogReader(context.kafka, topics) as reader:
            yield reader
    except (KafkaError, OSError, TimeoutError) as error:
        raise Unavailable(
            "Kafka does not answer, so the dead letters cannot be read. Try again in a moment."
        ) from error


@asynccontextmanager
async def open_producer(context: DeadLetterContext) -> AsyncIterator[Producer]:
    """Raises ``Unavailable`` when Kafka is not there at all."""
    producer = Producer(context.kafka, client_id="gateway-replay")
    try:
        await producer.start()
    except (KafkaError, OSError) as error:
        raise Unavailable(
            "Kafka does not answer, so nothing was replayed. Try again in a moment."
        ) from error
    try:
        yield producer
    finally:
        await producer.stop()

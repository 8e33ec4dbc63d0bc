"""What the verbs on dead letters need, and how they reach Kafka: each for itself, for as long as it takes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka.errors import KafkaError

from shared.db import Database
from shared.errors import Unavailable
from shared.kafka import LogReader, Producer
from shared.settings import Cluster


@dataclass(frozen=True, kw_only=True)
class DeadLetterContext:
    """``log_id`` is the identity of the log that replays are recorded for.

    ``org`` None sees every letter, an organisation only those that name it.
    """

    kafka: Cluster
    database: Database
    log_id: str
    org: str | None = None


@asynccontextmanager
async def open_reader(context: DeadLetterContext, topics: Collection[str]) -> AsyncIterator[LogReader]:
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
        raise Unavailable("Kafka does not answer, so nothing was replayed. Try again in a moment.") from error
    try:
        yield producer
    finally:
        await producer.stop()

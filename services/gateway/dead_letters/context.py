"""The context of the verbs on dead letters, each of which opens its own connection to Kafka."""

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
    """Everything that the verbs on dead letters need.

    ``log_ids`` holds the identity of each topic's log: a replay is recorded for one log. ``org``
    None sees every dead letter; an organisation sees only its own.
    """

    kafka: Cluster
    database: Database
    log_ids: Mapping[str, str]
    org: str | None = None

    def log_id(self, dead_letter_id: str) -> str:
        """Return the identity of the log that holds a dead letter."""
        return self.log_ids[parse_id(dead_letter_id)[0].topic]


@asynccontextmanager
async def open_reader(
    context: DeadLetterContext, topics: Collection[str]
) -> AsyncIterator[LogReader]:
    """Open a reader of Kafka. Raise ``Unavailable`` when Kafka does not answer."""
    try:
        async with LogReader(context.kafka, topics) as reader:
            yield reader
    except (KafkaError, OSError, TimeoutError) as error:
        raise Unavailable(
            "Kafka does not answer, so the dead letters cannot be read. Try again in a moment."
        ) from error


@asynccontextmanager
async def open_producer(context: DeadLetterContext) -> AsyncIterator[Producer]:
    """Open a producer. Raise ``Unavailable`` when Kafka does not answer."""
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

"""Fetch records so that an unreadable one costs none of the others.

When a record does not unpack (a header name that is not UTF-8, a wrong checksum), aiokafka raises,
and drops what it has already taken from the other partitions of the same answer although their
positions have moved past it. FastStream reads on silently, and the next commit loses those records.

So after such an error the consumer goes back to where its work stands and fetches one record at a
time. It halts exactly in front of the bad record, and says so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import chain
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import ConsumerStoppedError
from faststream.kafka.subscriber.usecase import BatchSubscriber

from shared.transient import RETRY_S

WAIT_MS: Final = 1000
"""The longest wait for records; available ones are returned at once. FastStream's own loop sleeps
after each empty answer."""
SINGLES: Final = 1000
"""The number of records that are fetched one by one after an error, if a poll has no limit of its
own: about as many as a fetch brings."""
CALM_S: Final = 5.0
"""With no error for this long and nothing to read, the cause was not a record: an unreadable record
would fail again at once."""

Rewind = Callable[[AIOKafkaConsumer], Awaitable[None]]

log = structlog.get_logger()


class Poll:
    """Replace ``subscriber.get_msg``; ``failing`` is topic → the problem, as in ``Delivery``.

    ``asked`` is called whenever Kafka has been asked.
    """

    def __init__(
        self,
        subscriber: BatchSubscriber,
        topic: str,
        rewind: Rewind,
        failing: dict[str, str],
        *,
        asked: Callable[[], None] = lambda: None,
        calm_s: float = CALM_S,
    ) -> None:
        self._asked, self._calm_s, self._failed_at = asked, calm_s, 0.0
        self._subscriber, self._topic, self._rewind, self._failing = (
            subscriber,
            topic,
            rewind,
            failing,
        )
        self._most = subscriber.max_records
        self._single = 0
        """The number of records that are still fetched one by one."""
        self._astray = False
        """True if the position may be past records that nobody has seen."""

    async def __call__(self, consumer: AIOKafkaConsumer) -> tuple[Any, ...]:
        try:
            if self._astray:
                await self._rewind(consumer)
                self._astray = False
            records = await self._ask(consumer)
        except ConsumerStoppedError:
            raise
        except Exception as error:  # noqa: BLE001  # FastStream would skip whatever failed
            await self._unreadable(error)
            return ()
        if self._single:
            self._single -= 1 if records else 0
            if not self._single or (
                not records and time.monotonic() - self._failed_at > self._calm_s
            ):
                self._recover()
        return records

    async def again(self, error: Exception) -> None:
        """Read the last batch once more, after a pause: it had no outcome."""
        self._astray = True
        log.error("batch_reread", topic=self._topic, exc_info=error)
        await asyncio.sleep(RETRY_S)

    async def _ask(self, consumer: AIOKafkaConsumer) -> tuple[Any, ...]:
        found = await consumer.getmany(timeout_ms=WAIT_MS, max_records=self._subscriber.max_records)
        self._asked()
        return tuple(chain(*found.values()))

    async def _unreadable(self, error: Exception) -> None:
        self._astray = self._astray or not self._single
        self._failed_at = time.monotonic()
        self._single, self._subscriber.max_records = self._most or SINGLES, 1
        self._failing[self._topic] = (
            f"{type(error).__name__}: Kafka's answer cannot be read. No record is skipped; "
            "see this service's log."
        )
        log.error("poll_failed", topic=self._topic, error=str(error)[:300])
        await asyncio.sleep(RETRY_S)

    def _recover(self) -> None:
        self._single, self._subscriber.max_records = 0, self._most
        self._failing.pop(self._topic, None)


async def rewind_to_committed(consumer: AIOKafkaConsumer) -> None:
    """Go back to the committed offsets, or to the beginning where there is none."""
    for partition in consumer.assignment():
        committed = await consumer.committed(partition)
        if committed is None:
            await consumer.seek_to_beginning(partition)
        else:
            consumer.seek(partition, committed)

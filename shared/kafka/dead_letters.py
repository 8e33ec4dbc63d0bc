"""Keep messages that cannot be processed: the original bytes, their origin, and the reason."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from aiokafka.errors import MessageSizeTooLargeError

from shared.contracts.envelope import Headers, Message
from shared.contracts.topics import dead_letters
from shared.kafka.metrics import count_dead_letters
from shared.kafka.produce import Producer
from shared.kafka.record import ConsumedRecord
from shared.transient import RETRY_S

MAX_DEAD_LETTER_BYTES: Final = 1_048_000
"""Slightly under Kafka's default ``max.message.bytes`` (1,048,588), and more than anything we send,
so that there is room for the origin."""

log = structlog.get_logger()


class DeadLetters:
    """Publish the dead letters of one service.

    No consumer may pass a message that belongs here before it is kept.
    """

    def __init__(self, producer: Producer, *, service: str) -> None:
        self._producer, self._service = producer, service

    async def publish(self, record: ConsumedRecord, error: Exception, attempts: int = 1) -> None:
        """Return once the message is stored, however long Kafka stays away.

        Only cancellation ends it earlier.
        """
        log.warning("dead_letter", topic=record.topic, offset=record.offset, error=str(error)[:200])
        letter = Message(
            topic=dead_letters(record.topic),
            key=record.key,
            value=record.value,
            headers=(*record.headers, *self._origin(record, error, attempts)),
        )
        while True:
            try:
                await self._producer.send_all([letter], most=MAX_DEAD_LETTER_BYTES)
            except MessageSizeTooLargeError:
                letter = _cut(letter, self._origin(record, error, attempts))
            except Exception as failure:  # noqa: BLE001  # going on would lose the message
                log.warning(
                    "dead_letter_waits",
                    topic=record.topic,
                    offset=record.offset,
                    error=str(failure)[:200],
                )
                await asyncio.sleep(RETRY_S)
            else:
                count_dead_letters(record.topic)
                return

    def _origin(self, record: ConsumedRecord, error: Exception, attempts: int) -> Headers:
        reason = f"{getattr(error, 'code', type(error).__name__)}: {error}"[:1000]
        return (
            ("dlq_topic", record.topic.encode()),
            ("dlq_partition", str(record.partition).encode()),
            ("dlq_offset", str(record.offset).encode()),
            ("dlq_service", self._service.encode()),
            ("dlq_error", reason.encode(errors="replace")),
            ("dlq_attempts", str(attempts).encode()),
        )


def _cut(letter: Message, origin: Headers) -> Message:
    """Shorten a message that leaves no room for its origin.

    The dead letter keeps the beginning of the value, and its full size in a header.
    """
    key, value = letter.key[:1000], letter.value
    headers = (*origin, ("dlq_bytes", str(len(value or b"")).encode()))
    return Message(
        topic=letter.topic,
        key=key,
        value=value and value[: MAX_DEAD_LETTER_BYTES - 10_000],
        headers=headers,
    )

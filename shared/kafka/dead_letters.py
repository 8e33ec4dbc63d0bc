"""What could not be processed is kept: the original bytes, where they came from, and why."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from aiokafka.errors import MessageSizeTooLargeError

from shared.contracts.envelope import Message
from shared.contracts.topics import dead_letters
from shared.kafka.metrics import count_dead_letters
from shared.kafka.produce import Producer
from shared.kafka.record import ConsumedRecord
from shared.transient import RETRY_S

MAX_DEAD_LETTER_BYTES: Final = 1_048_000
"""A little less than what Kafka takes by itself, and more than anything we send: room for where it came from."""

log = structlog.get_logger()


class DeadLetters:
    """The dead letters of one service. Nothing may pass a message that belongs here before it is kept."""

    def __init__(self, producer: Producer, *, service: str) -> None:
        self._producer, self._service = producer, service

    async def publish(self, record: ConsumedRecord, error: Exception, attempts: int = 1) -> None:
        """Return once the message is on disk, however long Kafka stays away; only cancellation ends it earlier."""
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
            except Exception as failure:  # noqa: BLE001  # whatever it is, passing on would lose the message
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

    def _origin(
        self, record: ConsumedRecord, error: Exception, attempts: int
    ) -> tuple[tuple[str, bytes], ...]:
        reason = f"{getattr(error, 'code', type(error).__name__)}: {error}"[:1000]
        return (
            ("dlq_topic", record.topic.encode()),
            ("dlq_partition", str(record.partition).encode()),
            ("dlq_offset", str(record.offset).encode()),
            ("dlq_service", self._service.encode()),
            ("dlq_error", reason.encode(errors="replace")),
            ("dlq_attempts", str(attempts).encode()),
        )


def _cut(letter: Message, origin: tuple[tuple[str, bytes], ...]) -> Message:
    """A message that fills its frame leaves no room for where it came from: keep the beginning, and say its size."""
    key, value = letter.key[:1000], letter.value
    headers = (*origin, ("dlq_bytes", str(len(value or b"")).encode()))
    return Message(
        topic=letter.topic,
        key=key,
        value=value and value[: MAX_DEAD_LETTER_BYTES - 10_000],
        headers=headers,
    )

"""Hand messages over until each has one outcome. What a handler may raise, and what then happens.

Undecodable    it will never work: to the dead letters (awaited), then on
away           the database or Kafka is not there: the same again after a pause, for as long as it takes
anything else  a fault of ours: tried ``ATTEMPTS`` times, then to the dead letters

Where that would make too many dead letters, none of it happens: the consumer stops in front of the message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from shared.contracts.envelope import Undecodable
from shared.kafka.dead_letter_limit import DeadLetterLimit, LimitReached, Tally
from shared.kafka.dead_letters import DeadLetters
from shared.kafka.record import ConsumedRecord
from shared.transient import RETRY_S, is_transient

ATTEMPTS: Final = 3
NOTICE_S: Final = 1.0
"""A dead letter that is not kept after this long is a reason to say so."""

Many = Callable[[list[ConsumedRecord]], Awaitable[None]]

log = structlog.get_logger()


class Delivery:
    """Hands messages to handlers; ``failing`` is topic → what its consumer is waiting for, empty when all is well.

    ``failing`` is shown to everyone: it tells kinds of errors, never their texts, which may quote a message.
    """

    def __init__(self, letters: DeadLetters, limit: DeadLetterLimit) -> None:
        self._letters, self._limit = letters, limit
        self._tallies: dict[str, Tally] = {}
        self.failing: dict[str, str] = {}
        self.stopped: set[str] = set()
        """Topics whose consumer has reached the limit: nothing of them is read or committed until a restart."""

    async def deliver(self, batch: list[ConsumedRecord], handle: Many) -> bool:
        """Whether all may be passed: each had its outcome. Where not, none may, and the consumer has stopped."""
        topic = batch[0].topic
        tally = self._tally(topic)
        tally.begin(batch)
        try:
            await self._settle(batch, handle)
        except LimitReached as reached:
            self._stop(topic, reached)
            return False
        tally.end()
        return True

    async def dead_letter(
        self, record: ConsumedRecord, error: Exception, attempts: int = 1
    ) -> None:
        """Return once the message is a dead letter. Raises ``LimitReached``."""
        topic, tally = record.topic, self._tally(record.topic)
        if tally.has(record):
            return
        try:
            tally.check(record)
        except LimitReached as reached:
            raise LimitReached(f"{reached.reason}, the last with {_kind(error)}") from error
        notice = asyncio.get_running_loop().call_later(NOTICE_S, self._letter_waits, topic)
        try:
            await self._letters.publish(record, error, attempts)
        finally:
            notice.cancel()
        self.failing.pop(topic, None)
        tally.add(record)

    async def _settle(self, batch: list[ConsumedRecord], handle: Many) -> None:
        topic, attempts = batch[0].topic, 0
        while (error := await _tried(batch, handle)) is not None:
            if is_transient(error):
                self.failing[topic] = f"{type(error).__name__}: waiting for it to come back"
                log.warning("consumer_waits", topic=topic, error=str(error)[:200])
            else:
                attempts += 1
                if isinstance(error, Undecodable) or attempts >= ATTEMPTS:
                    await self._isolate(batch, handle, error, attempts)
                    break
                log.warning("handler_failed", topic=topic, attempt=attempts, exc_info=error)
            await asyncio.sleep(RETRY_S)
        self.failing.pop(topic, None)

    async def _isolate(
        self, batch: list[ConsumedRecord], handle: Many, error: Exception, attempts: int
    ) -> None:
        """A batch of one goes to the dead letters; of a longer one each message gets its own chance."""
        if len(batch) == 1:
            await self.dead_letter(batch[0], error, attempts)
            return
        for record in batch:
            await self._settle([record], handle)

    def _tally(self, topic: str) -> Tally:
        return self._tallies.setdefault(topic, Tally(self._limit))

    def _stop(self, topic: str, reached: LimitReached) -> None:
        self.stopped.add(topic)
        self.failing[topic] = (
            f"stopped at the dead-letter limit: {reached.reason}, could not be processed. "
            "Nothing more is read or passed. "
            f"See `python -m services.gateway dead-letters list --topic {topic}`, put the cause right, then restart."
        )
        log.error("consumer_stopped", topic=topic, reason=reached.reason)

    def _letter_waits(self, topic: str) -> None:
        self.failing[topic] = (
            "a message that cannot be processed cannot be kept as a dead letter either: Kafka does not take it. "
            "Nothing is passed until it does; it goes on by itself."
        )


def _kind(error: Exception) -> str:
    return str(getattr(error, "code", type(error).__name__))


async def _tried(batch: list[ConsumedRecord], handle: Many) -> Exception | None:
    try:
        await handle(batch)
    except LimitReached:
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is, the messages must not be lost
        return error
    return None

"""Hand messages to a handler until each has one outcome.

The outcome depends on what the handler raises:

  Undecodable    it will never work: keep it as a dead letter, then continue
  transient      the database or Kafka is away: try again after a pause, for as long as it takes
  anything else  a bug of ours: try ``ATTEMPTS`` times, then keep it as a dead letter

If that makes too many dead letters, the consumer stops in front of the message instead.
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
"""A dead letter that is not stored after this long is reported in ``failing``."""

Many = Callable[[list[ConsumedRecord]], Awaitable[None]]

log = structlog.get_logger()


class Delivery:
    """Hand messages to handlers; ``failing`` is topic → what its consumer is waiting for.

    ``failing`` is public: it names kinds of errors, never their texts, which may quote a message.
    """

    def __init__(self, dead_letters: DeadLetters, limit: DeadLetterLimit) -> None:
        self._dead_letters, self._limit = dead_letters, limit
        self._tallies: dict[str, Tally] = {}
        self.failing: dict[str, str] = {}
        self.stopped: set[str] = set()
        """Topics whose consumer has reached the limit: nothing of them is read or committed until a
        restart."""

    async def deliver(self, batch: list[ConsumedRecord], handle: Many) -> bool:
        """Return True once every message had its outcome, so that all may be passed.

        False means that the consumer has stopped and that none of them may be passed.
        """
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
        """Return once the message is a dead letter. Raise ``LimitReached`` if it is too many."""
        topic, tally = record.topic, self._tally(record.topic)
        if tally.has(record):
            return
        try:
            tally.check(record)
        except LimitReached as reached:
            raise LimitReached(f"{reached.reason}, the last with {_kind(error)}") from error
        notice = asyncio.get_running_loop().call_later(NOTICE_S, self._dead_letter_waits, topic)
        try:
            await self._dead_letters.publish(record, error, attempts)
        finally:
            notice.cancel()
        self.failing.pop(topic, None)
        tally.add(record)

    async def _settle(self, batch: list[ConsumedRecord], handle: Many) -> None:
        topic, attempts = batch[0].topic, 0
        while (error := await _tried(batch, handle)) is not None:
            if is_transient(error):
                self.failing[topic] = f"{type(error).__name__}: waiting until it is back"
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
        """Give each message of a failing batch its own chance.

        A batch of one goes to the dead letters.
        """
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
            "Nothing more is read or skipped. "
            f"See `python -m services.gateway dead-letters list --topic {topic}`, "
            "fix the cause, then restart."
        )
        log.error("consumer_stopped", topic=topic, reason=reached.reason)

    def _dead_letter_waits(self, topic: str) -> None:
        self.failing[topic] = (
            "a message could not be processed, and Kafka does not accept it as a dead letter. "
            "Nothing is skipped until it does; then reading continues by itself."
        )


def _kind(error: Exception) -> str:
    return str(getattr(error, "code", type(error).__name__))


async def _tried(batch: list[ConsumedRecord], handle: Many) -> Exception | None:
    try:
        await handle(batch)
    except LimitReached:
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is, no message may be lost
        return error
    return None

"""Hand messages over until each has one outcome. What a handler may raise, and what then happens.

Undecodable    it will never work: to the dead letters (awaited), then on
away           the database or Kafka is not there: the same again after a pause, for as long as it takes
anything else  a fault of ours: tried ``ATTEMPTS`` times, then to the dead letters
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from shared.contracts.envelope import Undecodable
from shared.kafka.away import PAUSE_S, is_away
from shared.kafka.dead_letters import DeadLetters
from shared.kafka.received import Received

ATTEMPTS = 3

Many = Callable[[list[Received]], Awaitable[None]]

log = structlog.get_logger()


class Delivery:
    """Hands messages to handlers; ``failing`` is topic → what its consumer is waiting for, empty when all is well."""

    def __init__(self, letters: DeadLetters) -> None:
        self._letters = letters
        self.failing: dict[str, str] = {}

    async def deliver(self, batch: list[Received], handle: Many) -> None:
        """Return when every message has had its outcome; only cancellation raises, and then none may be passed."""
        topic, attempts = batch[0].topic, 0
        while (error := await _tried(batch, handle)) is not None:
            if is_away(error):
                self.failing[topic] = f"{type(error).__name__}: waiting for it to come back"
                log.warning("consumer_waits", topic=topic, error=str(error)[:200])
            else:
                attempts += 1
                if isinstance(error, Undecodable) or attempts >= ATTEMPTS:
                    await self._isolate(batch, handle, error, attempts)
                    break
                log.warning("handler_failed", topic=topic, attempt=attempts, exc_info=error)
            await asyncio.sleep(PAUSE_S)
        self.failing.pop(topic, None)

    async def _isolate(self, batch: list[Received], handle: Many, error: Exception, attempts: int) -> None:
        """A batch of one goes to the dead letters; of a longer one each message gets its own chance."""
        if len(batch) == 1:
            await self._letters.keep(batch[0], error, attempts)
            return
        for received in batch:
            await self.deliver([received], handle)


async def _tried(batch: list[Received], handle: Many) -> Exception | None:
    try:
        await handle(batch)
    except Exception as error:  # noqa: BLE001  # whatever it is, the messages must not be lost
        return error
    return None

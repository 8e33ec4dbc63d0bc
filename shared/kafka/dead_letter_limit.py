"""Stop a consumer that turns too many messages into dead letters.

Then it is the consumer that is wrong, or whoever sends, and stopping does less harm.
"""

from __future__ import annotations

from collections import deque

import msgspec

from shared.kafka.record import ConsumedRecord


class DeadLetterLimit(msgspec.Struct, frozen=True, kw_only=True):
    """Allow ``run`` dead letters in a row, and a ``share`` of the last ``window`` messages."""

    run: int = 50
    window: int = 200
    share: float = 0.5


class LimitReached(Exception):
    """The next message would be one dead letter too many: it is neither kept nor passed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Tally:
    """Count how the messages of one consumer ended, in reading order. A restart begins anew."""

    def __init__(self, limit: DeadLetterLimit) -> None:
        self._limit = limit
        self._window: deque[bool] = deque(maxlen=limit.window)
        self._run = 0
        self._batch: list[ConsumedRecord] = []
        self._counted = 0
        self._kept: set[tuple[int, int]] = set()

    def begin(self, batch: list[ConsumedRecord]) -> None:
        self._batch, self._counted = batch, 0
        self._kept.clear()

    def end(self) -> None:
        """Count the rest of the batch as good."""
        self._good(len(self._batch) - self._counted)
        self._batch, self._counted = [], 0

    def has(self, record: ConsumedRecord) -> bool:
        """Return True if the message is a dead letter already.

        A batch is tried again if the database goes away after some of its messages were kept.
        """
        return (record.partition, record.offset) in self._kept

    def check(self, record: ConsumedRecord) -> None:
        """Raise ``LimitReached`` if ``record`` would be one dead letter too many."""
        self._count_up_to(record)
        limit = self._limit
        if self._run >= limit.run:
            raise LimitReached(f"{limit.run} messages in a row")
        if sum(self._window) + 1 > limit.window * limit.share:
            raise LimitReached(f"{limit.share:.0%} of the last {limit.window} messages")

    def add(self, record: ConsumedRecord) -> None:
        self._kept.add((record.partition, record.offset))
        self._window.append(True)
        self._run += 1

    def _count_up_to(self, record: ConsumedRecord) -> None:
        """Count the messages before it in the batch as good, until one proves otherwise."""
        for at in range(self._counted, len(self._batch)):
            if self._batch[at] is record:
                self._good(at - self._counted)
                self._counted = at + 1
                return

    def _good(self, count: int) -> None:
        if count > 0:
            self._run = 0
            self._window.extend([False] * min(count, self._limit.window))

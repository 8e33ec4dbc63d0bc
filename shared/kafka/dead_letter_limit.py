"""When too much goes to the dead letters it is the consumer that is wrong, or everyone who sends: better to stop."""

from __future__ import annotations

from collections import deque

import msgspec

from shared.kafka.record import ConsumedRecord


class DeadLetterLimit(msgspec.Struct, frozen=True, kw_only=True):
    """As many in a row, or more than this ``share`` of the last ``window`` messages, are kept at most."""

    run: int = 50
    window: int = 200
    share: float = 0.5


class LimitReached(Exception):
    """The message that came next would be one dead letter too many: it was neither kept nor may it be passed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Tally:
    """How the messages of one consumer ended, in the order they were read. A restart begins anew."""

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
        """The rest of the batch was good."""
        self._good(len(self._batch) - self._counted)
        self._batch, self._counted = [], 0

    def has(self, record: ConsumedRecord) -> bool:
        """Whether it was kept already: a batch is tried again when the database was away after its letters."""
        return (record.partition, record.offset) in self._kept

    def check(self, record: ConsumedRecord) -> None:
        """Raises ``LimitReached`` when ``record`` is one too many."""
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
        """What stands before it in the batch is taken as good until it proves otherwise."""
        for at in range(self._counted, len(self._batch)):
            if self._batch[at] is record:
                self._good(at - self._counted)
                self._counted = at + 1
                return

    def _good(self, count: int) -> None:
        if count > 0:
            self._run = 0
            self._window.extend([False] * min(count, self._limit.window))

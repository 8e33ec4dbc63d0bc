"""Recognise batches of an idempotent producer that a partition already holds (KIP-98).

The state is rebuilt from the log when that is opened. Compaction and trimming remove batches, so
the state is written beside the log before either happens.
"""

from collections import deque
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from deploy.localkafka.batches import NO_PRODUCER, Header
from deploy.localkafka.errors import Code, Refused
from deploy.localkafka.files import replace_durably

# Clients keep at most five requests in flight, so a repeat is always among the last five batches.
_REMEMBERED_BATCHES: Final = 5
_REMEMBERED_PRODUCERS: Final = 1000
_SEQUENCES: Final = 2**31


class Stored(NamedTuple):
    first_sequence: int
    last_sequence: int
    base_offset: int


class Producer(msgspec.Struct):
    epoch: int
    batches: deque[Stored]


class Snapshot(msgspec.Struct):
    """The stored state. ``upto`` is the first offset that it does not reflect."""

    upto: int
    producers: dict[int, tuple[int, list[Stored]]]


class Producers:
    def __init__(self, snapshot: Path) -> None:
        self._path = snapshot
        self._known: dict[int, Producer] = {}
        self._upto = 0
        if snapshot.exists():
            saved = msgspec.json.decode(snapshot.read_bytes(), type=Snapshot, strict=False)
            self._upto = saved.upto
            for producer_id, (epoch, stored) in saved.producers.items():
                self._known[producer_id] = Producer(epoch, deque(stored, _REMEMBERED_BATCHES))

    def repeated(self, header: Header) -> int | None:
        """Return the offset of this very batch if it is stored already, None for a new one.

        A producer that is unknown here (its batches were trimmed, or the log is new) may start at
        any number.

        Raises:
            Refused: a fenced epoch, or a sequence number that does not follow the last one.
        """
        known = self._known.get(header.producer_id)
        if header.producer_id == NO_PRODUCER or known is None:
            return None
        if header.producer_epoch < known.epoch:
            raise Refused(Code.INVALID_PRODUCER_EPOCH)
        if header.producer_epoch > known.epoch:
            if header.base_sequence:
                raise Refused(Code.OUT_OF_ORDER_SEQUENCE_NUMBER)
            return None
        for stored in known.batches:
            if stored[:2] == (header.base_sequence, _last_sequence(header)):
                return stored.base_offset
        last = known.batches[-1].last_sequence
        if header.base_sequence == (last + 1) % _SEQUENCES:
            return None
        behind = (last - _last_sequence(header)) % _SEQUENCES < _SEQUENCES // 2
        raise Refused(
            Code.DUPLICATE_SEQUENCE_NUMBER if behind else Code.OUT_OF_ORDER_SEQUENCE_NUMBER
        )

    def remember(self, header: Header, base_offset: int) -> None:
        if header.producer_id == NO_PRODUCER or base_offset < self._upto:
            return
        known = self._known.pop(header.producer_id, None)
        if known is None or known.epoch != header.producer_epoch:
            known = Producer(header.producer_epoch, deque(maxlen=_REMEMBERED_BATCHES))
        known.batches.append(Stored(header.base_sequence, _last_sequence(header), base_offset))
        self._known[header.producer_id] = known
        if len(self._known) > _REMEMBERED_PRODUCERS:
            del self._known[next(iter(self._known))]

    def save(self, upto: int) -> None:
        """Write the state, durably; ``upto`` is the end of the log."""
        self._upto = upto
        known = {
            producer_id: (item.epoch, list(item.batches))
            for producer_id, item in self._known.items()
        }
        replace_durably(self._path, msgspec.json.encode(Snapshot(upto, known)))


def _last_sequence(header: Header) -> int:
    return (header.base_sequence + header.last_offset_delta) % _SEQUENCES

"""Keep one partition: an append-only log in segments.

Readers see only what is durable.
"""

import os
from asyncio import Future
from bisect import bisect_right
from pathlib import Path
from typing import Final

import structlog

from deploy.localkafka import batches
from deploy.localkafka.batches import Header
from deploy.localkafka.errors import Code, Refused
from deploy.localkafka.files import replace_durably, sync_data, sync_directory
from deploy.localkafka.flusher import FlushPoint
from deploy.localkafka.policy import Policy
from deploy.localkafka.producers import Producers
from deploy.localkafka.reservation import Reservation
from deploy.localkafka.salvage import DAMAGED, salvage, something_follows
from deploy.localkafka.segment import Segment, scan
from shared import clock

_logger = structlog.get_logger()
SUFFIX: Final = ".log"
CLEANED: Final = ".cleaned"
RESERVED: Final = "reserved"
LOST: Final = "lost"
"""A file that stays until the topic has another identity, because records of it were lost."""


class PartitionLog:
    """One partition. Only the last segment is written to; all before it are durable.

    The last segment is never deleted: its name keeps the next offset when everything before it was
    compacted away or trimmed.
    """

    def __init__(self, directory: Path, policy: Policy) -> None:
        """Open the log; repair unfinished compactions and a torn tail that a crash has left."""
        self.directory = directory
        self.policy = policy
        self.waiters: set[Future[None]] = set()
        self.failed = False
        self.producers = Producers(directory / "producers.json")
        self.segments: list[Segment] = []
        self._reservation: Reservation
        self._recover()
        self.high_watermark = self.end_offset

    @property
    def lost_records(self) -> bool:
        """Records were lost since the topic got its identity."""
        return (self.directory / LOST).exists()

    def forget_loss(self) -> None:
        (self.directory / LOST).unlink(missing_ok=True)

    @property
    def start_offset(self) -> int:
        return self.segments[0].base_offset

    @property
    def end_offset(self) -> int:
        return self.segments[-1].next_offset

    def append(self, batch: bytes) -> int:
        """Return the base offset given to the batch, or the one it already has.

        The batch is durable only after a flush.

        Raises:
            Refused: the batch, its producer's sequence or the disk does not allow it; nothing was
                appended.
        """
        header = batches.checked(batch, limit=self.policy.max_message_bytes)
        if self.policy.compacted:
            _require_keys(header, batch)
        if self.failed:
            raise Refused(Code.KAFKA_STORAGE_ERROR)
        repeated = self.producers.repeated(header)
        if repeated is not None:
            return repeated
        try:
            return self._write(header, batch)
        except OSError as error:
            _logger.exception("local_broker_write_failed", partition=str(self.directory))
            raise Refused(Code.KAFKA_STORAGE_ERROR) from error

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Return durable batches from ``offset`` on.

        At least one if there is any; the last one may be cut off, as the protocol allows.

        Raises:
            Refused: the offset lies outside [start_offset, high_watermark].
        """
        if not self.start_offset <= offset <= self.high_watermark:
            raise Refused(Code.OFFSET_OUT_OF_RANGE)
        if offset == self.high_watermark:
            return b""
        first = bisect_right(self.segments, offset, key=lambda segment: segment.base_offset) - 1
        for segment in self.segments[first:]:
            data = segment.read(offset, max_bytes)
            if data:
                return data
        return b""

    def find_time(self, timestamp: int) -> tuple[int, int] | None:
        """Return offset and time of the first durable record of that time or later.

        Times are in milliseconds.
        """
        for segment in self.segments:
            batch = segment.read_from_time(timestamp) if segment.max_timestamp >= timestamp else b""
            if batch:
                header = batches.header_at(batch)
                return _first_since(timestamp, header, batch)
        return None

    def flush_point(self) -> FlushPoint | None:
        active = self.segments[-1]
        if active.durable == active.size:
            return None
        size, end = active.size, active.next_offset

        def done() -> None:
            active.durable = max(active.durable, size)
            self._show(end)

        return FlushPoint(active.writer_copy(), done, self.fail)

    def sync_now(self) -> None:
        """Sync, blocking the caller.

        For the rare moments that need the whole log durable before anything else happens.
        """
        point = self.flush_point()
        if point is None:
            return
        try:
            sync_data(point.fd)
        except OSError:
            self.fail()
            raise
        finally:
            os.close(point.fd)
        point.done()

    def roll(self) -> None:
        """Seal the active segment, durably, and start another."""
        self.sync_now()
        active = self.segments[-1]
        if active.size and not self._reservation.skips:
            active.close()
            self._start_segment(active.next_offset)

    def fail(self) -> None:
        """Refuse to write from now on.

        After a failed sync only a restart can tell what the disk holds.
        """
        self.failed = True
        self._wake()

    def close(self) -> None:
        self.segments[-1].close()

    def _write(self, header: Header, batch: bytes) -> int:
        active = self.segments[-1]
        if self._reservation.skips:
            self._start_segment(max(self.end_offset + 1, self._reservation.end))
            active = self.segments[-1]
        elif active.size and active.size + header.size > self.policy.segment_bytes:
            self.roll()
            active = self.segments[-1]
        base_offset = active.next_offset
        self._reservation.cover(base_offset + header.records)
        active.append(header, base_offset, batch)
        if active.first_timestamp < 0:
            active.first_timestamp = int(clock.now() * 1000)
        self.producers.remember(header, base_offset)
        return base_offset

    def _show(self, end: int) -> None:
        self.high_watermark = max(self.high_watermark, end)
        self._wake()

    def _wake(self) -> None:
        waiters, self.waiters = self.waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _start_segment(self, base_offset: int) -> None:
        segment = Segment(self.directory / f"{base_offset:020d}{SUFFIX}")
        segment.open_for_writing()
        sync_directory(self.directory)
        self.segments.append(segment)

    def _recover(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        for leftover in self.directory.glob(f"*{CLEANED}"):
            leftover.unlink()
        paths = sorted(self.directory.glob(f"*{SUFFIX}"))
        lost = False
        for path in paths:
            lost = self._recover_segment(path, last=path == paths[-1])
        end = self.end_offset if self.segments else 0
        self._reservation = Reservation(self.directory / RESERVED, at_least=end)
        if not self.segments:
            self._start_segment(0)
        elif lost or self._reservation.skips:
            # The next record goes into a new segment, which has no gaps: so damage is noticed.
            self._reservation.skip()
        elif self.segments[-1].path != paths[-1]:
            self._start_segment(end)
        else:
            self.segments[-1].open_for_writing()

    def _recover_segment(self, path: Path, *, last: bool) -> bool:
        """Read a segment's file, and mend it; return whether anything of it was lost."""
        start = int(path.stem)
        if self.segments and start < self.segments[-1].next_offset:
            path.unlink()  # a compaction has merged it into the previous segment, then crashed
            return False
        # A segment that was damaged before has gaps where something is missing.
        without_gaps = last and not path.with_suffix(DAMAGED).exists()
        segment, left = scan(
            path, verify=True, without_gaps=without_gaps, visit=self.producers.remember
        )
        if left and last and not something_follows(path, segment.size):
            _logger.warning("local_broker_truncated_torn_tail", file=str(path), bytes=left)
            os.truncate(path, segment.size)
        elif left:
            segment = self._salvaged(path, first=start if without_gaps else None)
        self.segments.append(segment)
        return left > 0

    def _salvaged(self, path: Path, *, first: int | None) -> Segment:
        # First: after a crash in between, nothing in the segment tells of the damage any more.
        replace_durably(self.directory / LOST, b"")
        saved = salvage(path, first=first, draft=path.with_suffix(CLEANED))
        _logger.error(
            "local_broker_segment_damaged",
            file=str(path),
            kept=str(saved.kept),
            unreadable_bytes=saved.unreadable,
        )
        return scan(path, verify=False, visit=self.producers.remember)[0]


def _first_since(timestamp: int, header: Header, batch: bytes) -> tuple[int, int]:
    """Return offset and time of the first record of that time or later in the batch.

    The batch's own, if it is compressed in a way we cannot read or has lost that record.
    """
    try:
        _, found = batches.records(header, batch)
        for record in found:
            if record.timestamp >= timestamp:
                return record.offset, record.timestamp
    except Refused:
        pass
    return header.base_offset, header.max_timestamp


def _require_keys(header: Header, batch: bytes) -> None:
    _, found = batches.records(header, batch)
    if any(record.key is None for record in found):
        raise Refused(Code.INVALID_RECORD, "records of a compacted topic need a key")

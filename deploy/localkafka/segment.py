"""Keep one file of whole record batches, named after the first offset it may hold."""

import mmap
import os
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deploy.localkafka.batches import (
    HEADER_SIZE,
    START_SIZE,
    Header,
    header_at,
    intact,
    stored_start,
)

_INDEX_EVERY: Final = 4096
_NO_TIME: Final = -1


class Segment:
    """One file of a partition.

    Invariant: bytes [0, durable) are on the disk, [0, size) are whole batches; both end between two
    batches. The index has an entry for the first batch that starts 4 KiB or more behind the
    previous entry.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.base_offset = int(path.name.removesuffix(path.suffix))
        self.next_offset = self.base_offset
        self.size = 0
        self.durable = 0
        self.records = 0
        self.first_timestamp = _NO_TIME
        self.max_timestamp = _NO_TIME
        self._offsets = array("q")
        self._positions = array("q")
        self._times = array("q")
        self._writing: int | None = None

    def note(self, header: Header, base_offset: int) -> None:
        if not self._positions or self.size - self._positions[-1] >= _INDEX_EVERY:
            self._offsets.append(base_offset)
            self._positions.append(self.size)
            self._times.append(header.max_timestamp)
        if not self.size:
            self.first_timestamp = header.first_timestamp
        self._times[-1] = max(self._times[-1], header.max_timestamp)
        self.max_timestamp = max(self.max_timestamp, header.max_timestamp)
        self.size += header.size
        self.next_offset = base_offset + header.last_offset_delta + 1
        self.records += header.records

    def open_for_writing(self) -> None:
        self._writing = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)

    def writer_copy(self) -> int:
        """Return a descriptor of the file for a sync in another thread, which closes it."""
        return os.dup(self._fd())

    def append(self, header: Header, base_offset: int, batch: bytes) -> None:
        """Append the batch, not durably.

        Raises:
            OSError: nothing was appended.
        """
        fd = self._fd()
        try:
            written = os.writev(
                fd, [stored_start(base_offset, header), memoryview(batch)[START_SIZE:]]
            )
        except OSError:
            os.ftruncate(fd, self.size)
            raise
        if written != header.size:
            os.ftruncate(fd, self.size)
            raise OSError(f"the disk took {written} of {header.size} bytes")
        self.note(header, base_offset)

    def close(self) -> None:
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Return batches from the one that holds ``offset`` or, in a gap, from the next.

        The first is whole; the last may be cut off.
        """
        if not self.durable or offset >= self.next_offset:
            return b""
        with self._reading() as fd:
            return self._read(
                fd, self._indexed(offset), lambda header: header.last_offset >= offset, max_bytes
            )

    def read_from_time(self, timestamp: int) -> bytes:
        """Return the first batch with a record of that time (milliseconds) or later.

        Empty if there is none.
        """
        for entry, latest in enumerate(self._times):
            if latest >= timestamp and self._positions[entry] < self.durable:
                with self._reading() as fd:
                    return self._read(
                        fd, entry, lambda header: header.max_timestamp >= timestamp, 0
                    )
        return b""

    def _indexed(self, offset: int) -> int:
        return max(bisect_right(self._offsets, offset) - 1, 0)

    def _read(self, fd: int, entry: int, wanted: Callable[[Header], bool], max_bytes: int) -> bytes:
        position = self._positions[entry]
        while position < self.durable:
            header = header_at(os.pread(fd, HEADER_SIZE, position))
            if wanted(header):
                wished = max(max_bytes, header.size)
                return os.pread(fd, min(wished, self.durable - position), position)
            position += header.size
        return b""

    @contextmanager
    def _reading(self) -> Iterator[int]:
        if self._writing is not None:
            yield self._writing
            return
        fd = os.open(self.path, os.O_RDONLY)
        try:
            yield fd
        finally:
            os.close(fd)

    def _fd(self) -> int:
        if self._writing is None:
            raise OSError(f"{self.path.name} is sealed")
        return self._writing


def scan(
    path: Path,
    *,
    verify: bool,
    without_gaps: bool = False,
    visit: Callable[[Header, int], None] | None = None,
) -> tuple[Segment, int]:
    """Return the segment in a file up to the first place without a whole batch.

    And how many bytes are left from there on. With ``verify``, checksums are compared too; they do
    not cover offsets, but in a segment ``without_gaps``, one that was never compacted, a batch has
    to begin where the one before it ended. ``visit`` gets every header and its base offset.
    """
    segment = Segment(path)
    length = path.stat().st_size
    if length:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            while is_whole(data, segment.size, verify=verify):
                header = header_at(data, segment.size)
                gap = header.base_offset - segment.next_offset
                if gap < 0 or (gap and without_gaps):
                    break
                if visit is not None:
                    visit(header, header.base_offset)
                segment.note(header, header.base_offset)
    segment.durable = segment.size
    return segment, length - segment.size


def is_whole(data: mmap.mmap, position: int, *, verify: bool) -> bool:
    """Return whether a complete batch begins at ``position``.

    With ``verify``, it has to match its checksum, too.
    """
    if len(data) - position < HEADER_SIZE:
        return False
    header = header_at(data, position)
    if header.magic != 2 or not HEADER_SIZE <= header.size <= len(data) - position:
        return False
    return header.last_offset_delta >= 0 and (not verify or intact(data, header, position))


def stored(path: Path, size: int) -> Iterator[tuple[Header, bytes]]:
    """Yield the batches in the first ``size`` bytes of a segment's file."""
    if not size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
        position = 0
        while position < size:
            header = header_at(data, position)
            yield header, data[position : position + header.size]
            position += header.size

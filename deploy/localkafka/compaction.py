"""Keep only the last record of every key. Runs beside the event loop, in a thread.

Offsets never change, so a compacted log has gaps. A segment is rewritten into a file of its own,
which replaces it only when it is complete.
"""

import os
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from deploy.localkafka import batches
from deploy.localkafka.batches import Header, Record
from deploy.localkafka.log import CLEANED
from deploy.localkafka.segment import Segment, scan, stored

_FORGOTTEN: Final = -1


class Stopped(Exception):
    pass


class Survey(NamedTuple):
    """The result of reading a partition before it is compacted.

    ``latest`` is the offset of a key's last record below ``end``, or -1 for a tombstone older than
    the horizon. ``stale_in`` are the files with stale records.
    """

    end: int
    latest: dict[bytes | None, int]
    records: int
    stale: int
    stale_in: set[Path]

    def keeps(self, record: Record) -> bool:
        return record.offset >= self.end or self.latest.get(record.key, _FORGOTTEN) == record.offset


def survey(
    segments: Sequence[tuple[Path, int]], *, end: int, horizon: int, go_on: Callable[[], bool]
) -> Survey:
    """Read ``segments`` (file and number of bytes), which hold the log up to offset ``end``.

    Tombstones older than ``horizon`` (milliseconds) are stale, except the very last record, so that
    a reader can always reach the end of the log.
    """
    latest: dict[bytes | None, int] = {}
    counts: list[int] = []
    for path, size in segments:
        counts.append(0)
        for header, batch in _batches(path, size, go_on):
            counts[-1] += header.records
            for record in batches.records(header, batch)[1]:
                is_last = record.offset == end - 1
                expired = not record.has_value and record.timestamp < horizon and not is_last
                latest[record.key] = _FORGOTTEN if expired else record.offset
    stale = list(counts)
    starts = [int(path.stem) for path, _ in segments]
    for offset in latest.values():
        if offset != _FORGOTTEN:
            stale[bisect_right(starts, offset) - 1] -= 1
    stale_in = {path for (path, _), number in zip(segments, stale, strict=True) if number}
    return Survey(end, latest, sum(counts), sum(stale), stale_in)


def rewrite(segments: Sequence[Segment], found: Survey, go_on: Callable[[], bool]) -> Segment:
    """Write one segment with the records to keep from several.

    It is complete and durable, in a file that still has another name.
    """
    target = segments[0].path.with_suffix(CLEANED)
    with target.open("wb") as file:
        for segment in segments:
            for header, batch in _batches(segment.path, segment.size, go_on):
                file.write(_kept(header, batch, found))
        file.flush()
        os.fsync(file.fileno())
    cleaned, _ = scan(target, verify=False)
    return cleaned


def groups(segments: Sequence[Segment], limit: int) -> Iterator[list[Segment]]:
    """Yield neighbours of at most ``limit`` bytes in all, so that small segments are merged."""
    group: list[Segment] = []
    for segment in segments:
        if group and sum(item.size for item in group) + segment.size > limit:
            yield group
            group = []
        group.append(segment)
    if group:
        yield group


def _kept(header: Header, batch: bytes, found: Survey) -> bytes:
    body, all_records = batches.records(header, batch)
    kept = [record for record in all_records if found.keeps(record)]
    if len(kept) == header.records:
        return batch
    return batches.rebuilt(header, body, kept) if kept else b""


def _batches(path: Path, size: int, go_on: Callable[[], bool]) -> Iterator[tuple[Header, bytes]]:
    for header, batch in stored(path, size):
        if not go_on():
            raise Stopped
        time.sleep(0)  # gives the event loop a chance to run
        yield header, batch

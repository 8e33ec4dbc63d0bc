"""Save what can be read of a damaged segment, and keep the damaged file beside it."""

import mmap
import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from deploy.localkafka.batches import HEADER_SIZE, START_SIZE, Header, header_at, stored_start
from deploy.localkafka.files import sync_directory
from deploy.localkafka.segment import is_whole

DAMAGED: Final = ".damaged"
_MAGIC: Final = b"\x02"
_MAGIC_AT: Final = 16
"""The place of the format's number in a batch, which is all that can be searched for."""


class Salvage(NamedTuple):
    """Say what was saved: the damaged file's new name, and how many of its bytes are missing."""

    kept: Path
    unreadable: int


class Found(NamedTuple):
    """Hold a batch that matches its checksum, which does not cover its offset."""

    position: int
    header: Header

    @property
    def end(self) -> int:
        return self.position + self.header.size


def something_follows(path: Path, position: int) -> bool:
    """Return whether a whole batch begins at ``position`` or behind it.

    If none does, a crash may have cut off the end of the file, which nobody was told to be stored.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return next(_whole(data, position), None) is not None


def salvage(path: Path, *, first: int | None, draft: Path) -> Salvage:
    """Replace a segment's file by one with its whole batches, and keep it under another name.

    ``first`` is the offset of its first record if the segment had no gaps; then offsets that were
    damaged are put right. ``draft`` is a name for the new file until it is complete. A crash in
    between leaves the damaged file in its place, and the next start does this again.
    """
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        draft.open("wb") as new,
    ):
        found = list(_whole(data, 0))
        batches = _rising(found if first is None else _put_right(found, first))
        for batch in batches:
            new.write(stored_start(batch.header.base_offset, batch.header))
            new.write(data[batch.position + START_SIZE : batch.end])
        unreadable = len(data) - sum([batch.header.size for batch in batches])
        new.flush()
        os.fsync(new.fileno())
    kept = _free_name(path)
    os.link(path, kept)
    draft.replace(path)
    sync_directory(path.parent)
    return Salvage(kept, unreadable)


def _whole(data: mmap.mmap, start: int) -> Iterator[Found]:
    """Yield the whole batches from ``start`` on, whatever is between them."""
    at = data.find(_MAGIC, start + _MAGIC_AT)
    while at >= 0:
        position = at - _MAGIC_AT
        if len(data) - position < HEADER_SIZE:
            return
        found = None
        if is_whole(data, position, verify=True):
            found = Found(position, header_at(data, position))
            yield found
        at = data.find(_MAGIC, at + 1 if found is None else found.end + _MAGIC_AT)


def _put_right(found: Sequence[Found], first: int) -> list[Found]:
    """Return the batches with the offsets that those have which nothing separates."""
    end, following, right = 0, first, []
    for one in found:
        header = one.header
        if one.position == end:
            header = header._replace(base_offset=following)
        right.append(Found(one.position, header))
        end, following = one.end, header.last_offset + 1
    return right


def _rising(found: Sequence[Found]) -> list[Found]:
    """Return as many batches as possible whose offsets rise: a damaged offset is out of line."""
    lowest: list[int] = []
    at: list[int] = []
    before: list[int | None] = []
    for n, one in enumerate(found):
        place = bisect_left(lowest, one.header.base_offset)
        lowest[place:] = [one.header.base_offset, *lowest[place + 1 :]]
        at[place:] = [n, *at[place + 1 :]]
        before.append(at[place - 1] if place else None)
    rising: list[Found] = []
    n_or_none: int | None = at[-1] if at else None
    while n_or_none is not None:
        one = found[n_or_none]
        if not rising or one.header.last_offset < rising[-1].header.base_offset:
            rising.append(one)
        n_or_none = before[n_or_none]
    return rising[::-1]


def _free_name(path: Path) -> Path:
    """Return a name that is not taken: a segment may be damaged more than once."""
    name, number = path.with_suffix(DAMAGED), 1
    while name.exists():
        number += 1
        name = path.with_suffix(f"{DAMAGED}-{number}")
    return name

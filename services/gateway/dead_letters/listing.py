"""List dead letters, newest first, and show one with everything in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from aiokafka import TopicPartition

from services.gateway.dead_letters import queries as replays
from services.gateway.dead_letters.context import DeadLetterContext, open_reader
from services.gateway.dead_letters.dead_letter import (
    DeadLetter,
    DeadLetterSummary,
    DeadLetterView,
    not_found,
    parse,
    parse_id,
    source_topics,
    summary,
    view,
)
from shared.kafka import LoggedRecord, LogReader

MOST_READ: Final = 2_000
"""The most dead letters that are read for one page; filters may leave none of them."""

Marks = Mapping[TopicPartition, int]
"""Partition → the offset before which nothing has been listed. A missing one has nothing left."""
EncodedMarks = list[tuple[str, int, int]]


class DeadLetterListing(msgspec.Struct, frozen=True, kw_only=True):
    """A page.

    ``rest`` is None when there is nothing more; a page that is not full may not be the last.
    """

    letters: list[DeadLetterSummary]
    rest: dict[TopicPartition, int] | None


async def list_dead_letters(
    *,
    topic: str | None = None,
    service: str | None = None,
    limit: int,
    marks: Marks | None = None,
    context: DeadLetterContext,
) -> DeadLetterListing:
    """List the newest first by their writers' clocks; within a partition, by offset.

    ``marks`` are the ``rest`` of the page before. Raises ``BadRequest`` for an unknown topic, and
    ``Unavailable``.
    """
    async with open_reader(context, source_topics(topic)) as reader:
        bounds = await reader.bounds()
        if marks is not None:
            bounds = {
                at: (begin, min(end, marks.get(at, 0))) for at, (begin, end) in bounds.items()
            }
        walk = _Backwards(reader, bounds, chunk=limit)
        found: list[DeadLetter] = []
        while len(found) < limit and walk.seen < MOST_READ and (letter := await walk.next()):
            if service in {None, letter.service} and context.org in {None, letter.org_id}:
                found.append(letter)
        rest = walk.rest()
    async with context.database.read() as db:
        known = await replays.find(db, set(context.log_ids.values()), [one.id for one in found])
    sent = {one.dead_letter_id: one.sent_at for one in known}
    return DeadLetterListing(
        letters=[summary(one, sent.get(one.id)) for one in found], rest=rest or None
    )


class _Backwards:
    """Several partitions as one list, read backwards from their ends in stretches."""

    def __init__(
        self, reader: LogReader, bounds: Mapping[TopicPartition, tuple[int, int]], *, chunk: int
    ) -> None:
        self._reader, self._chunk = reader, chunk
        self._begin = {partition: begin for partition, (begin, _) in bounds.items()}
        self._unread = {partition: end for partition, (begin, end) in bounds.items() if end > begin}
        self._held: dict[TopicPartition, list[DeadLetter]] = {}
        self.seen = 0

    async def next(self) -> DeadLetter | None:
        while wanting := [partition for partition in self._unread if not self._held.get(partition)]:
            await self._fetch(wanting)
        newest = max(
            (partition for partition, held in self._held.items() if held),
            key=self._age,
            default=None,
        )
        if newest is None:
            return None
        self.seen += 1
        return self._held[newest].pop()

    def _age(self, partition: TopicPartition) -> tuple[float, str]:
        letter = self._held[partition][-1]
        return letter.stored_at, letter.id

    async def _fetch(self, partitions: list[TopicPartition]) -> None:
        ends = {partition: self._unread[partition] for partition in partitions}
        stretches = {at: (max(self._begin[at], end - self._chunk), end) for at, end in ends.items()}
        for partition, letters in (await self._reader.stretch(stretches, _without_value)).items():
            self._held[partition] = list(letters)
            self._unread[partition] = stretches[partition][0]
            if self._unread[partition] <= self._begin[partition]:
                del self._unread[partition]

    def rest(self) -> dict[TopicPartition, int]:
        held = {
            partition: _offset(letters[-1]) + 1
            for partition, letters in self._held.items()
            if letters
        }
        return {**self._unread, **held}


def _without_value(logged: LoggedRecord) -> DeadLetter:
    """Drop the value: a page of dead letters with their values could exceed the memory."""
    letter = parse(logged)
    return msgspec.structs.replace(letter, value=None)


def _offset(letter: DeadLetter) -> int:
    return int(letter.id.rpartition("~")[2])


def encode_marks(rest: Marks) -> EncodedMarks:
    """Return the marks to put into a page token."""
    return [(at.topic, at.partition, mark) for at, mark in sorted(rest.items())]


def decode_marks(encoded: EncodedMarks | None) -> dict[TopicPartition, int] | None:
    """Return the marks in a page token; None without one."""
    if encoded is None:
        return None
    return {TopicPartition(topic, partition): mark for topic, partition, mark in encoded}


async def show_dead_letter(id_: str, *, context: DeadLetterContext) -> DeadLetterView:
    """Return one dead letter.

    Raises ``NotFound``, also for another organisation's, and ``Unavailable``.
    """
    letter = await find_dead_letter(id_, context=context)
    async with context.database.read() as db:
        replay = await replays.get(db, context.log_id(id_), id_)
    return view(letter, replay.sent_at if replay else None)


async def find_dead_letter(id_: str, *, context: DeadLetterContext) -> DeadLetter:
    """Return one dead letter. Raise as ``show_dead_letter`` does."""
    partition, offset = parse_id(id_)
    async with open_reader(context, [partition.topic]) as reader:
        logged = await reader.one(partition, offset)
    if logged is None:
        raise not_found()
    letter = parse(logged)
    # The same answer as for none at all: it must not tell that there is one.
    if context.org not in {None, letter.org_id}:
        raise not_found()
    return letter

"""Ask the provider by id for the items that a walk did not find, and delete what it says is gone.

An item is deleted at once when the provider itself says that it is archived, in the trash or
merged. When the provider refuses the item by its id (404 or 403), that is not enough: its part must
have been read completely without it, which is why it was queued, and an item that the walk did find
must be there in the same lookup. An answer without the item proves nothing.

The job that does so in the background also completes the items that the provider truncated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import emit, known_items, store, truncated, unconfirmed
from services.fetcher.complete import complete_some
from services.fetcher.context import FetcherContext, JobRun
from services.fetcher.emit import Emission, send_dead_letters, tombstone, tombstones
from services.fetcher.jobs import queries, transitions
from services.fetcher.jobs.queries import Job, new_job
from services.fetcher.known_items import LaneDigest
from services.fetcher.unconfirmed import ASK_AGAIN_S, Missing
from shared import clock
from shared.connector import Gone, Interruption, Lookup, Reject, Rejected, Restart, RetryLater
from shared.db import Database

CHUNK: Final = 50
"""Ids per checkpoint. Where a provider has no batch read, each of them takes a call."""
TOGETHER: Final = 500
"""Ids per checkpoint that are looked for among what the provider lists as deleted."""
FEW: Final = 5
"""With no more ids than this, it is better to ask for each at once."""
SHARE: Final = 5
"""Background work takes at most one part in so many of a connection's time, and so of its
limits."""
INTERRUPTED_S: Final = 60.0
"""Seconds to rest when the provider did not answer, unless it asked for a longer wait."""
MOST_DUE: Final = 100
MOST_REFUSED: Final = 8
"""Refusals in a row after which a lookup is given up. To find one id among fifty takes six."""
ASKING: Final = {"asking": True}
"""The cursor of a job that asks for what was not found."""

log = structlog.get_logger()


async def confirm(run: JobRun, context: FetcherContext) -> None:
    """Take the next step of a job in the background, and close it when the run ends.

    It asks for what walks did not find, then it completes items; if the provider does not answer
    the one, it may still answer the other. One step of completion comes first, or many missing
    items would keep it waiting. The job never waits while it holds the lane: it is closed, and
    another one continues later.
    """
    job = run.job
    if job.cursor is None:
        await _step(run, context, complete_some)
        job.cursor = ASKING
    if job.cursor == ASKING:
        more, rest_s = await _step(run, context, _confirm_some)
        if more:
            return
        job.cursor = {"rest_s": rest_s}
    more, rest_s = await _step(run, context, complete_some)
    if not more:
        rest_s = max(rest_s, (job.cursor or {})["rest_s"])
        await _close(run, context, rest_s=rest_s)


async def _step(
    run: JobRun,
    context: FetcherContext,
    take: Callable[[JobRun, FetcherContext], Awaitable[bool]],
) -> tuple[bool, float]:
    """Take a step; return whether there is more to do, and for how many seconds to rest if not."""
    if run.ends:
        return False, 0.0
    try:
        return await take(run, context), 0.0
    except Interruption as error:
        log.info("confirmation_interrupted", job_id=run.job.id, reason=error.reason)
        after_s = error.after_s if isinstance(error, RetryLater) else None
        return False, max(INTERRUPTED_S, after_s or 0.0)


async def _confirm_some(run: JobRun, context: FetcherContext) -> bool:
    before = clock.now() - ASK_AGAIN_S
    asked = await ask_some(run, context, asked_before=before)
    # At once, however long the queue is: an answer is good for minutes.
    return await delete_some(run, context) or asked


async def ask_some(
    run: JobRun, context: FetcherContext, *, asked_before: float, end_run: bool = False
) -> bool:
    """Ask for the next ids; return False when there are none.

    Raises:
        Interruption: the provider did not answer. Nothing was written.
    """
    async with context.database.read() as db:
        most = TOGETHER if run.lists_deleted else CHUNK
        missing = await unconfirmed.next_to_ask(db, run.job, asked_before=asked_before, most=most)
    if missing and not await _settle(run, context, missing, end_run=end_run):
        await _ask(run, context, missing[:CHUNK], end_run=end_run)
    return bool(missing)


async def delete_some(run: JobRun, context: FetcherContext, *, end_run: bool = False) -> bool:
    """Delete the next items that are no longer visible; return False when there are none."""
    async with context.database.read() as db:
        ids = await unconfirmed.to_delete(db, run.job)
    if ids:
        await _delete(run, context, ids, end_run=end_run)
    return bool(ids)


async def ask_due(database: Database) -> None:
    """Create a job for each lane whose time to ask in the background has come."""
    async with database.read() as db:
        due = await store.lanes_to_confirm(db, most=MOST_DUE)
    for connection_id, resource in due:
        async with database.write(lock=connection_id) as db:
            source = await store.connection(db, connection_id)
            if not await store.take_confirmation(db, connection_id, resource) or source is None:
                continue
            if await _is_under_way(db, connection_id, resource):
                # It says itself when the next one comes.
                continue
            if source.status not in {"disconnected", "reauth_required"}:
                job = new_job(connection_id, resource, source.generation, kind="confirm")
                await transitions.create(db, job)


async def _is_under_way(db: AsyncConnection, connection_id: str, resource: str) -> bool:
    unfinished = await queries.unfinished(db, connection_id, resource)
    return any(job.kind == "confirm" for job in unfinished)


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """Say what a lookup means for the ids that were asked for.

    ``settled`` ids are there, or gone; they leave the queue. ``absent`` ids were refused by id
    while an item that the walk did find was there. We learned nothing about ``unknown`` ids.
    """

    gone: list[Gone]
    settled: list[str]
    absent: list[str]
    unknown: list[str]

    @classmethod
    def of(cls, lookup: Lookup, missing: Sequence[Missing], controls: Sequence[str]) -> Answers:
        there = {record.id for record in lookup.records}
        refused = set(lookup.absent)
        asked = {one.id for one in missing}
        gone = [one for one in lookup.gone if one.id in asked]
        # When another item says that this one was merged into it, a refusal proves it.
        gone += [
            Gone(id=one.id, reason="merged", merged_into=one.merged_into)
            for one in missing
            if one.id in refused and one.merged_into is not None
        ]
        over = {one.id for one in gone}
        left = [one.id for one in missing if one.id not in there | over]
        believed = refused if there & set(controls) else set()
        return cls(
            gone=gone,
            settled=sorted(there | over),
            absent=[id_ for id_ in left if id_ in believed],
            unknown=[id_ for id_ in left if id_ not in believed],
        )


async def _settle(
    run: JobRun, context: FetcherContext, missing: Sequence[Missing], *, end_run: bool
) -> bool:
    """Delete what the provider lists as deleted; return False when that is none of them."""
    lists = run.lists_deleted
    if lists is None or len(missing) <= FEW:
        return False
    job, at = run.job, run.next_version()
    ids = tuple(one.id for one in missing)
    try:
        gone = await lists.deleted(run.call, job.resource, ids)
    except (Reject, Restart, RetryLater) as error:
        if isinstance(error, RetryLater) and error.limit:
            raise
        # Each of them can still be asked for by its id.
        log.info("deleted_not_listed", job_id=job.id, reason=error.reason)
        return False
    if gone:
        sent = await send_found(run, context, Lookup(), version=at, gone=gone)
        async with context.database.write(lock=job.connection_id) as db:
            await record_found(db, job, sent, (), version=at)
            await _forget(db, job, [one.id for one in gone])
            await transitions.advance(db, job, end_run=end_run, told=False)
    return bool(gone)


async def _ask(
    run: JobRun, context: FetcherContext, missing: Sequence[Missing], *, end_run: bool
) -> None:
    job, at = run.job, run.next_version()
    async with context.database.read() as db:
        controls = await unconfirmed.controls(db, job, missing[0].part)
    ids = [one.id for one in missing]
    try:
        lookup = await _Lookups(run).of((*ids, *controls))
    except Interruption as error:
        if not (isinstance(error, RetryLater) and error.limit):
            await _postpone(run, context, ids)
        raise
    answers = Answers.of(lookup, missing, controls)
    # The walk has already read and counted the control items.
    found = [record for record in lookup.records if record.id not in controls]
    page = msgspec.structs.replace(lookup, records=found)
    sent = await send_found(run, context, page, version=at, gone=answers.gone)
    async with context.database.write(lock=job.connection_id) as db:
        await record_found(db, job, sent, lookup.rejected, version=at)
        await _forget(db, job, [one.id for one in answers.gone])
        await unconfirmed.forget(db, job, answers.settled)
        await unconfirmed.note_answers(db, job, absent=answers.absent, unknown=answers.unknown)
        await transitions.advance(db, job, end_run=end_run, told=False)


class _Lookups:
    """Ask for ids together, and in smaller groups where the provider refuses a group for one id."""

    def __init__(self, run: JobRun) -> None:
        self._run = run
        self._refused = 0

    async def of(self, ids: Sequence[str]) -> Lookup:
        if self._refused > MOST_REFUSED:
            # It is no single id that is to blame.
            return Lookup()
        try:
            lookup = await self._run.connector.read(
                self._run.call, self._run.job.resource, tuple(ids)
            )
        except Reject as refused:
            if refused.everything:
                raise
            self._refused += 1
            log.info("lookup_refused", job_id=self._run.job.id, reason=refused.reason)
        else:
            self._refused = 0
            return lookup
        if len(ids) == 1:
            return Lookup()
        middle = len(ids) // 2
        first, second = await self.of(ids[:middle]), await self.of(ids[middle:])
        return Lookup(
            records=first.records + second.records,
            rejected=first.rejected + second.rejected,
            gone=first.gone + second.gone,
            absent=first.absent + second.absent,
        )


async def _postpone(run: JobRun, context: FetcherContext, ids: Sequence[str]) -> None:
    """Let others be asked for first next time, if there are any.

    It may be one of these that gets no answer.
    """
    job = run.job
    async with context.database.write(lock=job.connection_id) as db:
        if await unconfirmed.count(db, job) > len(ids):
            await unconfirmed.postpone(db, job, ids)
            await transitions.advance(db, job, end_run=False, told=False)


class Sent(NamedTuple):
    """Hold what was sent, and the digest of what the lane held before."""

    emission: Emission
    lane: LaneDigest


async def send_found(
    run: JobRun, context: FetcherContext, lookup: Lookup, *, version: int, gone: Sequence[Gone] = ()
) -> Sent:
    """Send what is new or has changed of what was asked for by id, and count it in the job.

    Items that are ``gone`` are deleted.
    """
    job = run.job
    async with context.database.write(lock=job.connection_id) as db:
        before = await emit.known_before(db, job, lookup.records)
        emitted = emit.emission(run, lookup, version=version, before=before)
        leaving = tuple(one.id for one in gone)
        lane = await queries.record_pending(db, job, emitted.sent + leaving)
        letters = await known_items.without_letter(
            db, job.connection_id, job.resource, lookup.rejected
        )
    await send_dead_letters(run, context, letters)
    deletions = tombstones(run, gone, version=version)
    positions = await context.producer.send_all(emitted.messages + deletions)
    _count(job, emitted, positions, deleted=len(deletions))
    return Sent(emitted, lane)


async def record_found(
    db: AsyncConnection, job: Job, sent: Sent, rejected: Sequence[Rejected], *, version: int
) -> None:
    """Remember what ``send_found`` has sent, and what could not be read."""
    await emit.record(db, job, sent.emission, lane=sent.lane)
    await known_items.record_dropped(db, job.connection_id, job.resource, rejected, version=version)


async def _delete(run: JobRun, context: FetcherContext, ids: list[str], *, end_run: bool) -> None:
    job, at = run.job, run.next_version()
    async with context.database.write(lock=job.connection_id) as db:
        await queries.record_pending(db, job, tuple(ids))
    positions = await context.producer.send_all(
        [tombstone(run, id_, version=at, reason="not_visible") for id_ in ids]
    )
    job.item_positions, job.pending_ids = {**job.item_positions, **positions}, ()
    job.receipt = msgspec.structs.replace(job.receipt, deleted=job.receipt.deleted + len(ids))
    async with context.database.write(lock=job.connection_id) as db:
        await _forget(db, job, ids)
        await transitions.advance(db, job, end_run=end_run, told=False)


async def _forget(db: AsyncConnection, job: Job, ids: Sequence[str]) -> None:
    await known_items.forget(db, job.connection_id, job.resource, ids)
    await unconfirmed.forget(db, job, ids)


def _count(job: Job, emitted: Emission, positions: Mapping[int, int], *, deleted: int) -> None:
    job.item_positions = {**job.item_positions, **positions}
    job.attempts, job.pending_ids = 0, ()
    receipt = emitted.receipt
    job.receipt = msgspec.structs.replace(receipt, deleted=receipt.deleted + deleted)


async def _close(run: JobRun, context: FetcherContext, *, rest_s: float) -> None:
    job, worked_s = run.job, clock.monotonic() - run.began
    async with context.database.write(lock=job.connection_id) as db:
        others = await store.other_lanes_to_confirm(db, job.connection_id, job.resource)
        # They share the connection's limits.
        rest = max(rest_s, (SHARE * (1 + others) - 1) * worked_s)
        now = clock.now()
        times = []
        await unconfirmed.forget_found(db, job)
        if await unconfirmed.count(db, job):
            due = await unconfirmed.next_to_ask(db, job, asked_before=now - ASK_AGAIN_S, most=1)
            times.append(now + (rest if due or rest_s else ASK_AGAIN_S))
        await truncated.forget_obsolete(db, job)
        next_try_at = await truncated.next_try_at(db, job)
        if next_try_at is not None:
            times.append(max(next_try_at, now + rest))
        at = min(times, default=None)
        await store.confirm_at(db, job.connection_id, job.resource, at)
        await transitions.finish(db, job, "done")

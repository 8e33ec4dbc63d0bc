"""Explain by id what the provider counts but a walk has not read.

The count is taken again once it has settled. If something is still missing, ranges of ids are
halved as long as the provider counts more in them than we have read, until so few are left that
their ids can be listed. Those that the walk has not read are read by id: they are sent, or they
are ghosts, which the provider counts although it does not find them by their ids.

Each step asks for one thing and ends with a checkpoint, so another run can continue the search.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import known_items, parts, unconfirmed
from services.fetcher.confirm import CHUNK, record_found, send_found
from services.fetcher.context import FetcherContext, JobRun
from services.fetcher.finish import STAGE, close, covers, read_of_counted
from services.fetcher.jobs import transitions
from services.fetcher.jobs.queries import Job
from shared import clock
from shared.connector import Interruption, Lookup, Reject, RetryLater, Span
from shared.contracts.progress import JobError

SETTLED_S: Final = 10.0
"""Seconds after the last page before the count is taken again, since indexes lag a few."""
LISTED: Final = 200
"""Ids that one list may have. It only decides what is cheaper: to halve a range, or to list it."""
MOST_ASKED: Final = 2_000
"""Ids to read before the search is given up. So many are no accident: a list is broken."""
MOST_STEPS: Final = 2_000
"""Steps before the search is given up: some seven minutes at five calls a second."""
PATIENCE_S: Final = 3_600.0
"""Seconds for which a provider may fail to count before the sync ends without it."""

log = structlog.get_logger()


class IdListing(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Keep how far the ids of a range have been listed.

    ``total`` were counted in it; ``at`` is where its list goes on, ``listed`` how many ids came
    before that. ``aside`` counts those that were not read and need not be looked for any more.
    """

    at: str
    total: int
    listed: int = 0
    aside: int = 0
    over: bool = False


class IdSearch(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Keep how far the search is. It is saved in the job's cursor, so it must stay small.

    ``bounds`` are those of the ranges left to search, which lie side by side: the first range is
    from the first bound to the second one. ``asked`` counts the ids that were read, ``unexplained``
    the objects that were counted, but neither read nor refused. ``since`` is when the walk was
    over, ``failing_since`` when the provider began not to answer, in epoch seconds. ``listed_all``
    is True once the ids of all objects were listed.
    """

    since: float
    bounds: list[str | None] = []
    listing: IdListing | None = None
    steps: int = 0
    asked: int = 0
    unexplained: int = 0
    failing_since: float | None = None
    listed_all: bool = False

    @property
    def span(self) -> Span:
        first, end, *_ = self.bounds
        return Span(first or "0", end)

    @property
    def over(self) -> bool:
        return len(self.bounds) < 2

    def leave_range(self) -> None:
        del self.bounds[0]
        self.listing = None


async def reconcile(run: JobRun, context: FetcherContext) -> None:
    """Take the next step of the search, and close the job when it is over.

    Raises:
        RetryLater: the provider did not answer, but has not been failing for too long yet.
    """
    try:
        await _step(run, context)
    except Interruption as error:
        if isinstance(error, RetryLater) and not _out_of_patience(run.job, context):
            raise
        await _without_count(run, context, f"could not be had: {error.reason}")


async def _step(run: JobRun, context: FetcherContext) -> None:
    job = run.job
    search = _search(job)
    if job.receipt.counted_after is None:
        await _count_again(run, context, search)
    elif search.over:
        await _end(run, context, search)
    elif search.steps >= MOST_STEPS or search.asked >= MOST_ASKED:
        await _too_many(run, context)
    elif search.listing is None:
        await _weigh(run, context, search)
    elif search.listing.over:
        await _leave(run, context, search, search.listing)
    else:
        await _list(run, context, search, search.listing)


async def _count_again(run: JobRun, context: FetcherContext, search: IdSearch) -> None:
    """Take the count once more, and begin to search if more was counted than read."""
    job = run.job
    left = search.since + SETTLED_S - clock.now()
    if left > 0:
        name = run.runtime.provider.name
        reason = f"What was read is compared with {name}'s count once that has settled."
        async with context.database.write(lock=job.connection_id) as db:
            await transitions.defer(db, job, seconds=left, reason=reason, code="count_settling")
        return
    total = await run.connector.count(run.call, job.resource)
    if total is None:
        await _without_count(run, context, "is no longer given")
        return
    job.receipt = msgspec.structs.replace(job.receipt, counted_after=total)
    async with context.database.read() as db:
        covered = await covers(db, job, _counted(job))
    # What was read and has been archived since may make up for what was not. Where a list of all
    # ids costs next to nothing, it tells.
    if covered and (job.expected is None or not _better_listed(total, missing=1)):
        await _end(run, context, search)
        return
    search.bounds = ["0", None]
    await _save(run, context, search)


async def _weigh(run: JobRun, context: FetcherContext, search: IdSearch) -> None:
    """Leave the first range if we have read what is counted in it; else halve it or list it."""
    span = search.span
    total = await run.connector.count(run.call, run.job.resource, span)
    if total is None:
        await _without_count(run, context, "does not say which objects are missing")
        return
    async with context.database.read() as db:
        ours = await _read_in(db, run.job, span)
        middle = await _nth_in(db, run.job, span, n=ours // 2)
    # Of all ids together, some are missing whatever their number says.
    missing = total - ours if span != Span("0") else max(1, total - ours)
    if missing <= 0:
        search.leave_range()
    elif middle in {None, span.first} or _better_listed(total, missing=missing):
        search.listing = IdListing(at=span.first, total=total)
    else:
        # Halving by our own ids wastes no calls on ranges without any.
        search.bounds.insert(1, middle)
    await _save(run, context, search)


async def _list(run: JobRun, context: FetcherContext, search: IdSearch, listing: IdListing) -> None:
    """List the next ids of the range, and read by id what the walk has not read."""
    job, end = run.job, search.span.end
    span = Span(listing.at, end)
    given = await run.connector.list_ids(run.call, job.resource, span)
    ids = sorted({id_ for id_ in given if span.has(id_)}, key=int)
    async with context.database.read() as db:
        unread = await _unread(db, job, ids)
    if unread[CHUNK:]:
        ids = ids[: ids.index(unread[CHUNK])]
    listing.listed += len(ids)
    listing.over = not ids or listing.listed >= listing.total
    if ids:
        listing.at = str(int(ids[-1]) + 1)
    await _read(run, context, search, listing, tuple(unread[:CHUNK]))


async def _read(
    run: JobRun, context: FetcherContext, search: IdSearch, listing: IdListing, ids: tuple[str, ...]
) -> None:
    job, at = run.job, run.next_version()
    lookup = await _looked_up(run, context, ids)
    there = {record.id for record in lookup.records}
    ghosts = {*(one.id for one in lookup.gone), *lookup.absent} & set(ids) - there
    silent = max(0, len(set(ids) - there - ghosts) - len(lookup.rejected))
    search.asked += len(ids)
    search.unexplained += silent
    listing.aside += len(ghosts) + len(lookup.rejected) + silent
    sent = await send_found(run, context, lookup, version=at)
    job.items += sent.emission.new
    known = (job.receipt.ghosts or 0) + len(ghosts)
    job.receipt = msgspec.structs.replace(job.receipt, ghosts=known)
    async with context.database.write(lock=job.connection_id) as db:
        await record_found(db, job, sent, lookup.rejected, version=at)
        await unconfirmed.forget(db, job, sorted(there))
        await _write(db, run, search)


async def _looked_up(run: JobRun, context: FetcherContext, ids: tuple[str, ...]) -> Lookup:
    """Ask for these objects by id, and for some that exist: refusals count beside a record.

    If all of them are refused together, nothing is learned.
    """
    job = run.job
    if not ids:
        return Lookup()
    first, *_ = run.connector.parts(job.resource)
    async with context.database.read() as db:
        controls = await unconfirmed.controls(db, job, first.id)
    try:
        lookup = await run.connector.read(run.call, job.resource, (*ids, *controls))
    except Reject as refused:
        log.info("counted_not_read", job_id=job.id, reason=refused.reason)
        return Lookup()
    # The walk has already read and counted the control items.
    records = [record for record in lookup.records if record.id not in controls]
    absent = lookup.absent if lookup.records else []
    return msgspec.structs.replace(lookup, records=records, absent=absent)


async def _leave(
    run: JobRun, context: FetcherContext, search: IdSearch, listing: IdListing
) -> None:
    """Leave a range that was listed to its end. What was counted and not listed is unexplained."""
    async with context.database.read() as db:
        explained = await _read_in(db, run.job, search.span) + listing.aside
    if explained < listing.total:
        # Some may have been archived since the range was counted.
        total = await run.connector.count(run.call, run.job.resource, search.span)
        search.unexplained += max(0, (total or 0) - explained)
    search.listed_all |= search.span == Span("0")
    search.leave_range()
    await _save(run, context, search)


def _better_listed(total: int, *, missing: int) -> bool:
    """Return True if it takes fewer calls to list all ids of a range than to halve it.

    To find one of them by halving takes two counts for each halving, and a list at its end.
    """
    lists = -(-total // LISTED)
    return lists <= missing * (2 * lists.bit_length() + 1)


def _counted(job: Job) -> int:
    """Return the smaller of the counts before and after the walk."""
    counts = [count for count in (job.expected, job.receipt.counted_after) if count is not None]
    return min(counts)


async def _read_in(db: AsyncConnection, job: Job, span: Span) -> int:
    floor = await parts.floor(db, job)
    return await known_items.seen_in(db, job.connection_id, job.resource, span, version=floor)


async def _nth_in(db: AsyncConnection, job: Job, span: Span, *, n: int) -> str | None:
    floor = await parts.floor(db, job)
    return await known_items.nth_in(db, job.connection_id, job.resource, span, version=floor, n=n)


async def _unread(db: AsyncConnection, job: Job, ids: Sequence[str]) -> list[str]:
    """Return those of ``ids`` that the walk has not read, in the same order."""
    floor = await parts.floor(db, job)
    known = await known_items.known(db, job.connection_id, job.resource, ids)
    return [id_ for id_ in ids if id_ not in known or known[id_].version < floor]


def _search(job: Job) -> IdSearch:
    return msgspec.convert((job.cursor or {})[STAGE], IdSearch)


def _keep(job: Job, search: IdSearch) -> None:
    """Put the search into the job, which is saved when it advances or waits."""
    job.cursor = {**(job.cursor or {}), STAGE: msgspec.to_builtins(search)}


def _out_of_patience(job: Job, context: FetcherContext) -> bool:
    """Note that the provider did not answer; return True if it has not for too long.

    Waits that it asks for count too. Those move the job's own ``failing_since`` forward.
    """
    search, now = _search(job), clock.now()
    search.failing_since = search.failing_since or now
    _keep(job, search)
    # Half of it, because the job fails when all of it is over.
    return now - search.failing_since >= min(PATIENCE_S, context.give_up_after_s / 2)


async def _without_count(run: JobRun, context: FetcherContext, why: str) -> None:
    """Close the job without a comparison: whether it is done is up to its parts."""
    reason = f"{run.runtime.provider.name}'s count {why}"
    await _close(run, context, reconciled=False, reason=reason)


async def _end(run: JobRun, context: FetcherContext, search: IdSearch) -> None:
    if search.unexplained:
        what = f"{search.unexplained} of them could neither be read nor ruled out"
        await _missing(run, context, what)
    elif search.listed_all or await _left(run.job, context) <= 0:
        await _close(run, context, reconciled=True)
    else:
        await _list_all(run, context, search)


async def _list_all(run: JobRun, context: FetcherContext, search: IdSearch) -> None:
    """List all ids: in each range, something younger than the walk made up for what is missing."""
    job, whole = run.job, Span("0")
    total = await run.connector.count(run.call, job.resource, whole)
    if total is None:
        await _without_count(run, context, "does not say which objects are missing")
    elif -(-total // LISTED) > MOST_STEPS - search.steps:
        left = await _left(job, context)
        await _missing(run, context, f"{left} of them are missing, and it has too many to list all")
    else:
        search.bounds = [whole.first, whole.end]
        search.listing = IdListing(at=whole.first, total=total)
        # Ghosts that were found are in this list too.
        job.receipt = msgspec.structs.replace(job.receipt, ghosts=0)
        await _save(run, context, search)


async def _left(job: Job, context: FetcherContext) -> int:
    """Return how many objects were counted, but neither read nor found to be ghosts."""
    async with context.database.read() as db:
        return _counted(job) - await read_of_counted(db, job) - (job.receipt.ghosts or 0)


async def _too_many(run: JobRun, context: FetcherContext) -> None:
    left = max(1, await _left(run.job, context))
    await _missing(run, context, f"{left} of them are missing, too many to look for one by one")


async def _missing(run: JobRun, context: FetcherContext, what: str) -> None:
    job, name = run.job, run.runtime.provider.name
    reason = f"{name} counts {_counted(job)} {job.resource}, but {what}."
    remedy = f"Sync again. If it happens again, compare with what {name} itself shows."
    error = JobError(code="count_not_covered", detail=f"{reason} {remedy}")
    await _close(run, context, reconciled=False, reason=reason, error=error)


async def _close(
    run: JobRun,
    context: FetcherContext,
    *,
    reconciled: bool,
    reason: str | None = None,
    error: JobError | None = None,
) -> None:
    job = run.job
    job.receipt = msgspec.structs.replace(
        job.receipt, reconciled=reconciled, unreconciled_reason=reason
    )
    async with context.database.write(lock=job.connection_id) as db:
        await close(db, run, error)


async def _save(run: JobRun, context: FetcherContext, search: IdSearch) -> None:
    async with context.database.write(lock=run.job.connection_id) as db:
        await _write(db, run, search)


async def _write(db: AsyncConnection, run: JobRun, search: IdSearch) -> None:
    job = run.job
    search.steps, search.failing_since = search.steps + 1, None
    _keep(job, search)
    job.attempts, job.failing_since = 0, None
    await transitions.advance(db, job, end_run=run.ends, told=run.worth_telling())

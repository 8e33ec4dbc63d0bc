"""Define a job and its row, query the rows, and tell a job's syncs how far it is.

The holder of the claim may write its job's row as long as the row's epoch and checkpoint are still
the ones it knows. Only ``transitions`` changes the state.

At most ``connections.parallel`` jobs of a connection are dispatched at once: these are its slots.
Running and ready jobs have one; a waiting job has none. A free slot goes to the job that was served
longest ago. Ask for slots in a transaction that holds the connection's lock; otherwise two claims
could take the same one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import Text, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import known_items
from services.fetcher.known_items import LaneDigest
from services.fetcher.tables import JobState, connections, job_syncs, jobs, lanes, outbox
from shared.connector import Cursor
from shared.contracts.envelope import Message, event, new_id, timestamp
from shared.contracts.jobs import RunJob
from shared.contracts.progress import JobError, JobProgress, Outcome, Receipt
from shared.contracts.topics import BACKGROUND_JOBS, JOBS, PROGRESS
from shared.contracts.vocabulary import SyncState
from shared.db import in_array, json_array
from shared.outbox import append

LEAST_SLOTS: Final = 1
Kind = Literal["load", "refetch", "confirm", "remove", "purge"]
JSON_COLUMNS: Final[dict[str, Any]] = {
    "cursor": Cursor | None,
    "receipt": Receipt,
    "item_positions": dict[int, int],
    "pending_ids": tuple[str, ...],
    "error": JobError | None,
}
HELD: Final = (
    (jobs.c.id == bindparam("held"))
    & (jobs.c.epoch == bindparam("held_epoch"))
    & (jobs.c.seq == bindparam("held_seq"))
    & (jobs.c.state == "running")
)
"""The condition of every write of a claimed job; its parameters are ``claim_parameters``."""
# By parameters: on SQLite, columns in a RETURNING come without their table, so that the lane's and
# the job's could not be told apart.
_LANE_DIGEST: Final = [
    select(column)
    .where(
        lanes.c.connection_id == bindparam("of_connection_id"),
        lanes.c.resource == bindparam("of_resource"),
    )
    .scalar_subquery()
    for column in (lanes.c.digest, lanes.c.invalidated)
]
_PENDING: Final = (
    update(jobs).where(HELD).values(pending_ids=bindparam("ids")).returning(*_LANE_DIGEST)
)
# Built once: building such a statement costs as much as running it, and these run for every page.
_SYNCS: Final = select(job_syncs.c.sync_id).where(job_syncs.c.job_id == bindparam("job_id"))
_SYNCS_OF_ALL: Final = select(job_syncs).where(
    in_array(job_syncs.c.job_id, bindparam("ids", type_=Text))
)
_STEPPED: Final = (
    update(jobs).where(jobs.c.id == bindparam("joined")).values(step=bindparam("reached"))
)


class LostClaimError(Exception):
    """Another worker has the job, or the job is over: this run must not write any more."""


class Job(msgspec.Struct, kw_only=True):
    """One resource of one connection, to be loaded once, or purged, or some of its ids read again.

    Only ``jobs.transitions`` writes ``state``; a ``new`` job has no row yet. ``outcome`` is set
    when the job is over. ``seq`` counts the checkpoints, ``step`` the progress events, ``dispatch``
    the ``RunJob``s; only the last ``RunJob`` is valid. ``first_version`` is the lane's version at
    the first claim. ``cursor`` says how far a refetch is, or which stage a load is in.
    ``attempts`` counts faults of ours; ``failing_since`` is the time since which the provider has
    been failing in calls that belong to no part. The items or deletions of ``pending_ids`` are
    being sent and are not recorded yet, so readers may have them already. ``not_before`` is the end
    of a wait that the provider itself has asked for, ``waiting_until`` the end of ours. The
    ``RunJob``s of a ``background`` job go to the topic for work that nobody waits for. Times are
    epoch seconds.
    """

    id: str
    connection_id: str
    resource: str
    generation: int
    kind: Kind = "load"
    background: bool = False
    state: JobState = "new"
    outcome: Outcome | None = None
    dispatch: int = 1
    worker_id: str | None = None
    epoch: int = 0
    seq: int = 0
    step: int = 0
    first_version: int | None = None
    cursor: Cursor | None = None
    pages: int = 0
    items: int = 0
    expected: int | None = None
    attempts: int = 0
    failing_since: float | None = None
    receipt: Receipt = Receipt()
    item_positions: dict[int, int] = {}
    pending_ids: tuple[str, ...] = ()
    waiting_until: float | None = None
    waiting_reason: str | None = None
    waiting_code: str | None = None
    not_before: float | None = None
    error: JobError | None = None
    started_at: float | None = None
    ended_at: float | None = None
    changed_at: float = 0.0

    @property
    def lane(self) -> str:
        return f"{self.connection_id}/{self.resource}"

    @property
    def over(self) -> bool:
        return self.state == "over"


def new_job(
    connection_id: str,
    resource: str,
    generation: int,
    kind: Kind = "load",
    *,
    background: bool = False,
    error: JobError | None = None,
) -> Job:
    """Return a job without a row. ``error`` says why it cannot even start.

    Every kind but a load is background work.
    """
    return Job(
        id=new_id(),
        connection_id=connection_id,
        resource=resource,
        generation=generation,
        kind=kind,
        background=background or kind != "load",
        error=error,
    )


def run_job(job: Job, *, hurried: bool = False) -> Message:
    """Return the message that makes a worker read the job's next pages."""
    topic = BACKGROUND_JOBS if job.background else JOBS
    body = RunJob(job_id=job.id, dispatch=job.dispatch, hurried=hurried)
    return event(topic, key=job.lane, kind="RunJob", source="fetcher", body=body)


def to_row(job: Job) -> dict[str, Any]:
    row = msgspec.structs.asdict(job)
    for column in JSON_COLUMNS:
        row[column] = msgspec.json.encode(row[column]).decode()
    return row


def from_row(row: dict[str, Any]) -> Job:
    for column, shape in JSON_COLUMNS.items():
        row[column] = msgspec.json.decode(row[column] or "null", type=shape)
    return Job(**row)


async def get(db: AsyncConnection, job_id: str) -> Job | None:
    row = (await db.execute(select(jobs).where(jobs.c.id == job_id))).mappings().first()
    return None if row is None else from_row(dict(row))


async def unfinished(
    db: AsyncConnection, connection_id: str, resource: str | None = None
) -> list[Job]:
    """Return the jobs of a connection, or of one of its lanes, that are not over; oldest first."""
    mine = jobs.c.connection_id == connection_id
    if resource is not None:
        mine &= jobs.c.resource == resource
    return await find(db, mine, jobs.c.state != "over")


async def of_sync(db: AsyncConnection, sync_id: str) -> list[Job]:
    mine = select(job_syncs.c.job_id).where(job_syncs.c.sync_id == sync_id)
    return await find(db, jobs.c.id.in_(mine))


async def comes_later(db: AsyncConnection, job: Job) -> bool:
    """Return True if another job of the lane must be over before this one may take the lane."""
    return any_before(job, await unfinished(db, job.connection_id, job.resource))


def any_before(job: Job, others: Sequence[Job]) -> bool:
    return any(_comes_first(other, job) for other in others)


def _comes_first(other: Job, job: Job) -> bool:
    """Return True if ``job`` must wait for ``other``, even when the lane is free."""
    if other.kind == "purge":
        # If it ran later, it would delete what this generation has loaded.
        return other.generation < job.generation
    # The lane's parts belong to the walk that is under way. Another walk would take them over.
    return other.kind == job.kind == "load" and other.cursor is not None and job.cursor is None


async def in_state(
    db: AsyncConnection, state: JobState, *, unchanged_since: float | None = None
) -> list[Job]:
    before = [] if unchanged_since is None else [jobs.c.changed_at < unchanged_since]
    return await find(db, jobs.c.state == state, *before)


async def find(db: AsyncConnection, *where: Any) -> list[Job]:
    rows = await db.execute(select(jobs).where(*where).order_by(jobs.c.id))
    return [from_row(dict(row)) for row in rows.mappings()]


def claim_parameters(job: Job) -> dict[str, Any]:
    return {"held": job.id, "held_epoch": job.epoch, "held_seq": job.seq}


def claimed_by_lost_commit(
    job: Job, dispatch: int, worker_id: str, at_work: Collection[tuple[str, int]]
) -> bool:
    """Return True if this claim was committed although the database's answer was lost."""
    ours = job.state == "running" and job.worker_id == worker_id and job.dispatch == dispatch
    return ours and (job.id, dispatch) not in at_work


async def record_pending(db: AsyncConnection, job: Job, ids: tuple[str, ...]) -> LaneDigest:
    """Note the ids of the items and deletions that are about to be sent.

    Return the digest of what the job's lane holds now.

    Raises:
        LostClaimError: the claim is lost, and nothing may be sent.
    """
    # If the items were sent first and the worker died, and one of them were gone by the next
    # attempt, readers would keep it for ever. If one of the deletions came back by then, readers
    # would never get it again.
    job.pending_ids = ids
    of_lane = {"of_connection_id": job.connection_id, "of_resource": job.resource}
    parameters = {**claim_parameters(job), **of_lane, "ids": to_row(job)["pending_ids"]}
    lane = (await db.execute(_PENDING, parameters)).first()
    if lane is None:
        raise LostClaimError(job.id)
    return LaneDigest.stored(*lane)


async def note_digest(db: AsyncConnection, job: Job) -> None:
    """Put the digest of what the lane holds into the job's receipt, unless items are doubtful."""
    lane = await known_items.lane_digest(db, job.connection_id, job.resource)
    digest = None if lane.invalidated else lane.hex
    job.receipt = msgspec.structs.replace(job.receipt, digest=digest)


async def bring_forward(db: AsyncConnection, job: Job) -> None:
    """Send the job's next ``RunJob`` to the topic for work that somebody waits for."""
    job.background = False
    await db.execute(update(jobs).where(jobs.c.id == job.id).values(background=False))


async def free_slots(db: AsyncConnection, connection_id: str) -> int:
    """Return how many more jobs may be dispatched."""
    return await _allowed(db, connection_id) - await _dispatched(db, connection_id, besides="")


async def has_slot(db: AsyncConnection, connection_id: str, *, besides: str = "") -> bool:
    """Return True if one more job may be dispatched, not counting the job ``besides``."""
    return await _dispatched(db, connection_id, besides=besides) < await _allowed(db, connection_id)


async def has_queued(db: AsyncConnection, connection_id: str) -> bool:
    """Return True if a job of the connection waits for a slot."""
    queued = (jobs.c.connection_id == connection_id) & (jobs.c.state == "awaiting_slot")
    return (await db.execute(select(jobs.c.id).where(queued).limit(1))).first() is not None


async def next_queued(db: AsyncConnection, connection_id: str) -> Job | None:
    """Return the job that waits for a slot and was served longest ago."""
    queued = (jobs.c.connection_id == connection_id) & (jobs.c.state == "awaiting_slot")
    first = select(jobs).where(queued).order_by(jobs.c.changed_at, jobs.c.id).limit(1)
    row = (await db.execute(first)).mappings().first()
    return None if row is None else from_row(dict(row))


async def _dispatched(db: AsyncConnection, connection_id: str, *, besides: str) -> int:
    counted = (
        (jobs.c.connection_id == connection_id)
        & (jobs.c.id != besides)
        & jobs.c.state.in_(("running", "ready"))
    )
    return int(
        (await db.execute(select(func.count()).select_from(jobs).where(counted))).scalar_one()
    )


async def _allowed(db: AsyncConnection, connection_id: str) -> int:
    parallel = select(connections.c.parallel).where(connections.c.id == connection_id)
    found: int | None = (await db.execute(parallel)).scalar()
    return found or LEAST_SLOTS


async def tell(db: AsyncConnection, job: Job, kind: str) -> None:
    """Tell every sync of the job, in the caller's transaction, how far the job is."""
    syncs = (await db.execute(_SYNCS, {"job_id": job.id})).scalars().all()
    await append(db, outbox, [progress_event(job, sync_id, kind) for sync_id in syncs])


async def tell_all(db: AsyncConnection, changed: Sequence[Job], kind: str) -> None:
    """Tell the syncs of many jobs with one query: a connection may have a thousand jobs."""
    by_id: Mapping[str, Job] = {job.id: job for job in changed}
    told = (await db.execute(_SYNCS_OF_ALL, {"ids": json_array(by_id)})).all()
    await append(db, outbox, [progress_event(by_id[row.job_id], row.sync_id, kind) for row in told])


async def join(db: AsyncConnection, *joined: Job, syncs: tuple[str, ...]) -> None:
    """Let these syncs follow the jobs from now on, and tell them at once how far the jobs are."""
    if not joined or not syncs:
        return
    pairs = [(job, sync_id) for job in joined for sync_id in syncs]
    rows = [{"job_id": job.id, "sync_id": sync_id} for job, sync_id in pairs]
    await db.execute(upsert(job_syncs).on_conflict_do_nothing(), rows)
    for job in joined:
        job.step += 1
    await db.execute(_STEPPED, [{"joined": job.id, "reached": job.step} for job in joined])
    told = []
    for job, sync_id in pairs:
        kind = "JobFailed" if job.over else "JobStarted"
        told.append(progress_event(job, sync_id, kind))
    await append(db, outbox, told)


async def has_sync(db: AsyncConnection, job: Job) -> bool:
    """Return whether a sync follows the job."""
    follows = select(job_syncs.c.sync_id).where(job_syncs.c.job_id == job.id).limit(1)
    return (await db.execute(follows)).first() is not None


def progress_event(job: Job, sync_id: str, kind: str) -> Message:
    waits = job.state == "waiting"
    body = JobProgress(
        sync_id=sync_id,
        job_id=job.id,
        step=job.step,
        connection_id=job.connection_id,
        resource=job.resource,
        state=public_state(job),
        pages=job.pages,
        items=job.items,
        expected=job.expected,
        waiting_reason=job.waiting_reason if waits else None,
        waiting_code=job.waiting_code if waits else None,
        waiting_until=_time(job.waiting_until) if waits else None,
        asked_to_wait_until=_time(job.not_before) if waits else None,
        error=job.error,
        receipt=job.receipt if job.over else None,
        item_positions=job.item_positions if job.over else {},
        started_at=_time(job.started_at),
        ended_at=_time(job.ended_at),
    )
    return event(PROGRESS, key=sync_id, kind=kind, source="fetcher", body=body)


def public_state(job: Job) -> SyncState:
    """Return the state that people see: a job is queued until its first page has come."""
    if job.outcome is not None:
        return job.outcome
    if job.state == "waiting":
        return "waiting"
    return "queued" if job.pages == 0 else "running"


def _time(epoch_s: float | None) -> str | None:
    return None if epoch_s is None else timestamp(epoch_s)

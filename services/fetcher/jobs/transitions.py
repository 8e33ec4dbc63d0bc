"""Move jobs from state to state: nothing else writes a job's state.

| event | from | to | meaning |
|---|---|---|---|
| created | new | ready | its first `RunJob` is in the outbox |
| refused | new | over | it cannot even begin: its row says why |
| no_slot | new, ready, waiting | awaiting_slot | its connection has all its slots in use |
| slot_freed | awaiting_slot | ready | a slot is free, and it was served longest ago |
| lane_taken | ready, waiting | awaiting_lane | another job of the lane comes first |
| lane_freed | awaiting_lane | ready | that other job is over |
| claimed | ready, waiting | running | a worker has taken it, under a new epoch |
| page_read | running | running | a page is recorded and the run goes on |
| run_ended | running | ready | the run's time is over and there is more to read |
| yielded | running | awaiting_slot | the run's time is over, others wait |
| deferred | running | waiting | a delayed `RunJob` is in the outbox, and the lane is free |
| hurried | waiting | ready | somebody asks for it now |
| finished | running | over | done, incomplete or failed |
| worker_gone | running | ready | its worker died or left |
| forgotten | ready, waiting | ready | its `RunJob` is long overdue: another one is sent |
| connection_gone | ready, running, waiting, awaiting_lane, awaiting_slot | over | disconnected |

Only the holder of the claim writes a claimed job: every write is conditional on epoch and
checkpoint. The same transaction tells the job's syncs of the change and, if the job is to run,
appends a ``RunJob``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import bindparam, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import known_items, store
from services.fetcher.jobs import queries
from services.fetcher.jobs.queries import HELD, Job, LostClaimError, run_job, to_row
from services.fetcher.metrics import ENDED
from services.fetcher.tables import UNFINISHED, JobState, jobs, outbox
from shared import clock
from shared.contracts.progress import JobError, Outcome
from shared.outbox import append

Event = Literal[
    "created", "refused", "no_slot", "slot_freed", "lane_taken", "lane_freed", "claimed",
    "page_read", "run_ended", "yielded", "deferred", "hurried", "finished", "worker_gone",
    "forgotten", "connection_gone"
]  # fmt: skip


class Transition(NamedTuple):
    event: Event
    states: tuple[JobState, ...]
    then: JobState
    meaning: str


LIFE: Final = (
    Transition("created", ("new",), "ready", "its first `RunJob` is in the outbox"),
    Transition("refused", ("new",), "over", "it cannot even begin: its row says why"),
    Transition(
        "no_slot",
        ("new", "ready", "waiting"),
        "awaiting_slot",
        "its connection has all its slots in use",
    ),
    Transition(
        "slot_freed",
        ("awaiting_slot",),
        "ready",
        "a slot is free, and it was served longest ago",
    ),
    Transition(
        "lane_taken", ("ready", "waiting"), "awaiting_lane", "another job of the lane comes first"
    ),
    Transition("lane_freed", ("awaiting_lane",), "ready", "that other job is over"),
    Transition(
        "claimed", ("ready", "waiting"), "running", "a worker has taken it, under a new epoch"
    ),
    Transition("page_read", ("running",), "running", "a page is recorded and the run goes on"),
    Transition(
        "run_ended", ("running",), "ready", "the run's time is over and there is more to read"
    ),
    Transition(
        "yielded",
        ("running",),
        "awaiting_slot",
        "the run's time is over, others wait",
    ),
    Transition(
        "deferred",
        ("running",),
        "waiting",
        "a delayed `RunJob` is in the outbox, and the lane is free",
    ),
    Transition("hurried", ("waiting",), "ready", "somebody asks for it now"),
    Transition("finished", ("running",), "over", "done, incomplete or failed"),
    Transition("worker_gone", ("running",), "ready", "its worker died or left"),
    Transition(
        "forgotten",
        ("ready", "waiting"),
        "ready",
        "its `RunJob` is long overdue: another one is sent",
    ),
    Transition("connection_gone", UNFINISHED, "over", "disconnected"),
)
TRANSITIONS: Final[Mapping[tuple[JobState, Event], JobState]] = {
    (state, one.event): one.then for one in LIFE for state in one.states
}
CLAIMABLE: Final = frozenset(state for state, event in TRANSITIONS if event == "claimed")
PROVIDER_UNKNOWN: Final = JobError(
    code="provider_unknown",
    detail="This installation no longer has the provider. Install it again, or disconnect.",
)
DISCONNECTED: Final = JobError(
    code="disconnected", detail="The account was disconnected during the sync."
)

_WRITTEN: Final[dict[str, Any]] = {
    column.name: bindparam(column.name)
    for column in jobs.columns
    if column.name not in {"id", "step"}
}
# Built once: building such a statement costs as much as running it, and these run for every page.
_WRITE: Final = (
    update(jobs).where(HELD).values({**_WRITTEN, "step": jobs.c.step + 1}).returning(jobs.c.step)
)
_ENDED: Final = (
    "state", "outcome", "error", "ended_at", "waiting_until", "waiting_reason", "waiting_code",
    "worker_id", "step",
)  # fmt: skip
_OF_A_WAIT: Final = ("waiting_until", "waiting_reason", "waiting_code", "not_before")
_END: Final = (
    update(jobs)
    .where(jobs.c.id == bindparam("over"))
    .values({**{name: bindparam(f"new_{name}") for name in _ENDED}, "seq": jobs.c.seq + 1})
)


class IllegalTransitionError(Exception):
    """An event came in a state in which it cannot happen. This is a bug."""


async def create(db: AsyncConnection, *new: Job, syncs: tuple[str, ...] = ()) -> None:
    """Add new jobs of one connection, all at once: there may be a thousand."""
    if not new:
        return
    free, now = await queries.free_slots(db, new[0].connection_id), clock.now()
    for job in new:
        if job.error is not None:
            enter(job, "refused")
            job.outcome, job.ended_at = "failed", now
        else:
            enter(job, "created" if free > 0 else "no_slot")
            free -= 1
        job.changed_at = now
    await db.execute(insert(jobs), [to_row(job) for job in new])
    await queries.join(db, *new, syncs=syncs)
    await append(db, outbox, [run_job(job) for job in new if job.state == "ready"])


async def claim(
    db: AsyncConnection,
    *,
    job_id: str,
    dispatch: int,
    worker_id: str,
    at_work: Collection[tuple[str, int]] = (),
) -> Job | None:
    """Claim the job for this worker under a new epoch; return None when it cannot be claimed.

    It can if this ``RunJob`` is the newest one, and a slot and the lane are free. ``at_work`` are
    the claims that the worker knows of.
    """
    job = await queries.get(db, job_id)
    # The row holds a claim of ours that the worker does not know of: it was committed, but the
    # answer was lost. The message came again, and the run continues from there.
    if job is not None and queries.claimed_by_lost_commit(job, dispatch, worker_id, at_work):
        return job
    if job is None or job.state not in CLAIMABLE or job.dispatch != dispatch:
        return None
    if not await queries.has_slot(db, job.connection_id, besides=job.id):
        await _set_aside(db, job, "no_slot")
        return None
    epoch = None
    if not await queries.comes_later(db, job):
        epoch = await store.take_lane(db, job.connection_id, job.resource, job_id=job.id)
    if epoch is None:
        await _set_aside(db, job, "lane_taken")
        await wake_next(db, job.connection_id)
        return None
    as_read = (jobs.c.id == job.id) & (jobs.c.state == job.state) & (jobs.c.dispatch == dispatch)
    enter(job, "claimed")
    job.epoch, job.worker_id, job.changed_at = epoch, worker_id, clock.now()
    job.started_at = job.started_at or job.changed_at
    taken = await db.execute(update(jobs).where(as_read).values(to_row(job)))
    return job if taken.rowcount == 1 else None


async def advance(db: AsyncConnection, job: Job, *, end_run: bool, told: bool = True) -> None:
    """Record a page. The next one is read at once, or in another run if this one ends.

    Raises:
        LostClaimError: the claim is lost, and nothing was written.
    """
    if not end_run:
        await _write(db, job, "page_read", tell="PageLoaded" if told else None)
    else:
        queued = await queries.has_queued(db, job.connection_id)
        await _write(db, job, "yielded" if queued else "run_ended", tell="PageLoaded")


async def defer(
    db: AsyncConnection,
    job: Job,
    *,
    seconds: float,
    reason: str,
    code: str,
    not_before: float | None = None,
) -> None:
    """Give the job and its lane back for ``seconds``. ``reason`` is for people, ``code`` is not."""
    job.waiting_until = clock.now() + seconds
    job.waiting_reason, job.waiting_code, job.not_before = reason, code, not_before
    await _write(db, job, "deferred", tell="JobWaiting", delay_s=seconds)


async def finish(
    db: AsyncConnection, job: Job, outcome: Outcome, error: JobError | None = None
) -> None:
    job.outcome, job.error = outcome, error
    await _write(db, job, "finished", tell="JobFailed" if outcome == "failed" else "JobFinished")


async def end_disconnected(db: AsyncConnection, over: Sequence[Job]) -> None:
    """End jobs of one connection that nobody runs, all at once."""
    if not over:
        return
    now = clock.now()
    for job in over:
        enter(job, "connection_gone")
        job.outcome, job.error, job.ended_at = "failed", DISCONNECTED, now
        job.step += 1
        ENDED.add("failed")
    rows = {job.id: to_row(job) for job in over}
    ended = []
    for id_, row in rows.items():
        values = {f"new_{name}": row[name] for name in _ENDED}
        ended.append({"over": id_, **values})
    await db.execute(_END, ended)
    for job in over:
        await _invalidate_unread(db, job)
    await queries.tell_all(db, over, "JobFailed")
    connection_id = over[0].connection_id
    await store.free_lanes(db, connection_id, list(rows))
    for resource in {job.resource for job in over}:
        await _wake_lane(db, connection_id, resource)
    await wake_next(db, connection_id)


async def redispatch(
    db: AsyncConnection,
    job: Job,
    event: Literal["worker_gone", "forgotten", "lane_freed", "hurried"],
) -> None:
    """Make a job that nobody works on ready again, with a new ``RunJob`` and without its claim."""
    # More ids may have been noted as about to be sent since ``job`` was read.
    now = await queries.get(db, job.id)
    if now is None:
        return
    as_read = (jobs.c.id == job.id) & (jobs.c.dispatch == job.dispatch)
    as_read &= (jobs.c.seq == job.seq) & (jobs.c.state == job.state)
    enter(job, event)
    job.dispatch += 1
    values: dict[str, Any] = {"state": job.state, "dispatch": job.dispatch}
    values |= dict.fromkeys(("worker_id", *_OF_A_WAIT))
    values |= {"seq": jobs.c.seq + 1, "pending_ids": "[]", "changed_at": clock.now()}
    changed = await db.execute(update(jobs).where(as_read).values(values))
    if changed.rowcount == 1:
        await _settle_pending(db, now)
        await append(db, outbox, [run_job(job, hurried=event == "hurried")])


async def hurry(db: AsyncConnection, job: Job) -> None:
    """Dispatch a waiting job at once, and tell its syncs that it no longer waits."""
    await redispatch(db, job, "hurried")
    job.step += 1
    await db.execute(update(jobs).where(jobs.c.id == job.id).values(step=job.step))
    await queries.tell(db, job, "PageLoaded")


async def wake_next(db: AsyncConnection, connection_id: str) -> None:
    """Dispatch the jobs that wait for a slot, as many as there are free slots."""
    while (job := await queries.next_queued(db, connection_id)) is not None:
        if not await queries.has_slot(db, connection_id):
            return
        enter(job, "slot_freed")
        job.dispatch += 1
        await db.execute(
            update(jobs).where(jobs.c.id == job.id).values(state=job.state, dispatch=job.dispatch)
        )
        await append(db, outbox, [run_job(job)])


def enter(job: Job, event: Event) -> None:
    state = TRANSITIONS.get((job.state, event))
    if state is None:
        raise IllegalTransitionError(f"{event} cannot happen to job {job.id}, which is {job.state}")
    job.state = state
    if state != "running":
        job.worker_id = None
    if state != "waiting":
        job.waiting_until = job.waiting_reason = job.waiting_code = job.not_before = None


async def _write(
    db: AsyncConnection, job: Job, event: Event, *, tell: str | None, delay_s: float = 0.0
) -> None:
    """Write a claimed job after ``event`` and tell its syncs, unless ``tell`` is None.

    If the connection is gone by now, the job is over, unless it is a purge.

    Raises:
        LostClaimError: the row's epoch or checkpoint has changed since the job was read.
    """
    claimed = queries.claim_parameters(job)
    if (
        event != "finished"
        and job.kind != "purge"
        and await store.is_gone(db, job.connection_id, job.generation)
    ):
        event, tell = "connection_gone", "JobFailed"
        job.outcome, job.error = "failed", DISCONNECTED
    enter(job, event)
    await _settle_pending(db, job)
    job.seq += 1
    job.changed_at = clock.now()
    job.dispatch += job.state in CLAIMABLE
    if job.over:
        job.ended_at = job.changed_at
        await _invalidate_unread(db, job)
        await queries.note_digest(db, job)
    row = to_row(job)
    written = await db.execute(_WRITE, {**{name: row[name] for name in _WRITTEN}, **claimed})
    step = written.scalar_one_or_none()
    if step is None:
        raise LostClaimError(job.id)
    job.step = step  # a sync may have joined since the job was read: its step counts too
    if tell is not None:
        await queries.tell(db, job, tell)
    if job.state != "running":
        await _hand_on(db, job, delay_s)


async def _hand_on(db: AsyncConnection, job: Job, delay_s: float) -> None:
    """Give the lane and the slot to the next jobs, and send this job's next ``RunJob``."""
    if job.over:
        ENDED.add(job.outcome or "failed")
    if job.over or job.state == "waiting":
        await store.free_lane(db, job.connection_id, job.resource, job_id=job.id)
        await _wake_lane(db, job.connection_id, job.resource)
    await wake_next(db, job.connection_id)
    if job.state in CLAIMABLE:
        await append(db, outbox, [run_job(job)], delay_s=delay_s)


async def _set_aside(
    db: AsyncConnection, job: Job, event: Literal["no_slot", "lane_taken"]
) -> None:
    was_waiting = job.state == "waiting"
    enter(job, event)
    values = dict.fromkeys(_OF_A_WAIT) | {"state": job.state, "step": job.step + was_waiting}
    await db.execute(update(jobs).where(jobs.c.id == job.id).values(values))
    if was_waiting:  # people were shown a time, and it has come
        job.step += 1
        await queries.tell(db, job, "PageLoaded")


async def _settle_pending(db: AsyncConnection, job: Job) -> None:
    if job.pending_ids:
        await known_items.invalidate(db, job.connection_id, job.resource, job.pending_ids)
        job.pending_ids = ()


async def _invalidate_unread(db: AsyncConnection, job: Job) -> None:
    """Let the next load send, or a purge delete, the ids that a refetch did not get to."""
    if job.kind == "refetch" and job.outcome != "done":
        await known_items.invalidate(
            db, job.connection_id, job.resource, (job.cursor or {"ids": []})["ids"]
        )
        await store.forget_places(db, job.connection_id, job.resource)


async def _wake_lane(db: AsyncConnection, connection_id: str, resource: str) -> None:
    """Wake the next job that waits for the lane: a purge first, then the oldest that may run."""
    others = await queries.unfinished(db, connection_id, resource)
    waiting = [job for job in others if job.state == "awaiting_lane"]
    free = [job for job in waiting if not queries.any_before(job, others)]
    if free:
        await redispatch(db, min(free, key=lambda job: (job.kind != "purge", job.id)), "lane_freed")

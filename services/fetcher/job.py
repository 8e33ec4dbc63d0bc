"""A job as a row, and what its syncs are told of it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from shared.connector import Cursor
from shared.contracts.envelope import Message, event, new_id, timestamp
from shared.contracts.pages import LoadPage
from shared.contracts.progress import JobProgress, JobState, Problem, Receipt, Waiting
from shared.contracts.topics import BACKGROUND, PAGES, PROGRESS

Kind = Literal["load", "read", "purge"]
State = Literal["ready", "running", "turn", "waiting", "done", "incomplete", "failed"]
OVER = ("done", "incomplete", "failed")
JSON_COLUMNS: dict[str, Any] = {
    "cursor": Cursor | None,
    "receipt": Receipt,
    "positions": dict[int, int],
    "pending": tuple[str, ...],
    "waiting": Waiting | None,
    "error": Problem | None,
}


class Job(msgspec.Struct, kw_only=True):
    """One resource of one connection, to be loaded once, or purged, or some ids of it read again.

    ``seq`` counts the checkpoints, ``step`` the progress events, ``first_version`` is the lane's version at the start
    of the run: what is not sighted at it or later is gone. ``empty`` counts pages without records at ``place``.
    ``pending`` are ids that are being sent and not yet recorded as seen: a reader may have them already.
    ``background``: its wake-ups go to the topic of work that nobody waits for.
    """

    id: str
    connection: str
    resource: str
    generation: int
    kind: Kind = "load"
    background: bool = False
    state: State = "ready"
    wake: int = 1
    worker: str | None = None
    epoch: int = 0
    seq: int = 0
    step: int = 0
    first_version: int | None = None
    cursor: Cursor | None = None
    place: str | None = None
    empty: int = 0
    pages: int = 0
    items: int = 0
    expected: int | None = None
    attempts: int = 0
    receipt: Receipt = Receipt()
    positions: dict[int, int] = {}
    pending: tuple[str, ...] = ()
    waiting: Waiting | None = None
    error: Problem | None = None
    started: float | None = None
    ended: float | None = None
    changed: float = 0.0

    @property
    def lane(self) -> str:
        return f"{self.connection}/{self.resource}"

    @property
    def over(self) -> bool:
        return self.state in OVER


def new_job(connection: str, resource: str, generation: int, kind: Kind = "load", *, background: bool = False) -> Job:
    """What is read again or purged is always background work."""
    behind = background or kind != "load"
    return Job(
        id=new_id(), connection=connection, resource=resource, generation=generation, kind=kind, background=behind
    )


def wake_up(job: Job) -> Message:
    body = LoadPage(job=job.id, wake=job.wake)
    return event(BACKGROUND if job.background else PAGES, key=job.lane, kind="LoadPage", source="fetcher", body=body)


def progress(job: Job, sync: str, kind: str) -> Message:
    body = JobProgress(
        sync=sync,
        job=job.id,
        step=job.step,
        connection=job.connection,
        resource=job.resource,
        state=_public_state(job),
        pages=job.pages,
        items=job.items,
        expected=job.expected,
        waiting=job.waiting,
        error=job.error,
        receipt=job.receipt if job.over else None,
        positions=job.positions if job.over else {},
        started=timestamp(job.started) if job.started else None,
        ended=timestamp(job.ended) if job.ended else None,
    )
    return event(PROGRESS, key=sync, kind=kind, source="fetcher", body=body)


def _public_state(job: Job) -> JobState:
    match job.state:
        case "done" | "incomplete" | "failed":
            return job.state
        case _ if job.waiting:
            return "waiting"
        case "ready" if job.pages == 0:
            return "queued"
        case "waiting" | "turn" if job.pages == 0:
            return "queued"
        case _:
            return "running"


def to_row(job: Job) -> dict[str, Any]:
    row = msgspec.structs.asdict(job)
    for column in JSON_COLUMNS:
        row[column] = msgspec.json.encode(row[column]).decode()
    return row


def from_row(row: dict[str, Any]) -> Job:
    for column, shape in JSON_COLUMNS.items():
        row[column] = msgspec.json.decode(row[column] or "null", type=shape)
    return Job(**row)

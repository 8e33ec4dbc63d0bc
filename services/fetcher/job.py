"""Define a job as a row."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from shared.connector import Cursor
from shared.contracts.envelope import Message, event, new_id
from shared.contracts.jobs import RunJob
from shared.contracts.progress import JobError, Outcome, Receipt
from shared.contracts.topics import BACKGROUND_JOBS, JOBS

Kind = Literal["load", "refetch", "purge"]
State = Literal["new", "ready", "running", "waiting", "awaiting_lane", "awaiting_slot", "over"]
"""What each means, and what leads from one to another, is drawn in ``jobs/transitions.py``."""
UNFINISHED: Final[tuple[State, ...]] = ("ready", "running", "waiting", "awaiting_lane", "awaiting_slot")
JSON_COLUMNS: Final[dict[str, Any]] = {
    "cursor": Cursor | None,
    "receipt": Receipt,
    "item_positions": dict[int, int],
    "pending_ids": tuple[str, ...],
    "error": JobError | None,
}


class Job(msgspec.Struct, kw_only=True):
    """One resource of one connection, to be loaded once, or purged, or some ids of it read again.

    ``state`` is written by ``jobs.transitions`` alone; ``new`` is a job that has no row yet. ``outcome`` is set when
    the job is over. ``seq`` counts the checkpoints, ``step`` the progress events, ``dispatch`` the ``RunJob``s: only
    the last one counts. ``first_version`` is the lane's version at the first claim: what was not read at it or later
    is gone. ``empty_pages`` counts pages without records at ``place``. ``pending_ids`` are being sent and not yet
    recorded as known: a reader may have them already. ``background``: its ``RunJob``s go to the topic of work that
    nobody waits for. Times are epoch seconds.
    """

    id: str
    connection_id: str
    resource: str
    generation: int
    kind: Kind = "load"
    background: bool = False
    state: State = "new"
    outcome: Outcome | None = None
    dispatch: int = 1
    worker_id: str | None = None
    epoch: int = 0
    seq: int = 0
    step: int = 0
    first_version: int | None = None
    cursor: Cursor | None = None
    place: str | None = None
    empty_pages: int = 0
    pages: int = 0
    items: int = 0
    expected: int | None = None
    attempts: int = 0
    receipt: Receipt = Receipt()
    item_positions: dict[int, int] = {}
    pending_ids: tuple[str, ...] = ()
    waiting_until: float | None = None
    waiting_reason: str | None = None
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
    """Return a job without a row; ``error`` says why it cannot even begin. Refetches and purges are background work."""
    return Job(
        id=new_id(),
        connection_id=connection_id,
        resource=resource,
        generation=generation,
        kind=kind,
        background=background or kind != "load",
        error=error,
    )


def run_job(job: Job) -> Message:
    """Return the message that has the job's next pages read."""
    topic = BACKGROUND_JOBS if job.background else JOBS
    body = RunJob(job_id=job.id, dispatch=job.dispatch)
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

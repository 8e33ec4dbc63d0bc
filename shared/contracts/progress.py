"""What the fetcher publishes on ``tributary.progress.v1``: at each change, all that is known of a job."""

from __future__ import annotations

from typing import Literal

import msgspec

JobState = Literal["queued", "running", "waiting", "done", "incomplete", "failed"]
FINAL: frozenset[JobState] = frozenset({"done", "incomplete", "failed"})


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job does not run now, for people, and until when (RFC 3339)."""

    reason: str
    until: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job failed or stayed incomplete: ``code`` for programs, ``detail`` for people, the missing scope."""

    code: str
    detail: str
    scope: str | None = None


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What the job read, sent on, found unchanged, deleted, dropped and why. Counts are items."""

    read: int = 0
    emitted: int = 0
    unchanged: int = 0
    deleted: int = 0
    dropped: int = 0
    oversized: int = 0
    restarts: int = 0
    why_dropped: dict[str, int] = {}


class JobProgress(msgspec.Struct, frozen=True, kw_only=True):
    """The job as one of its syncs sees it; ``step`` rises at every event of the job, so the highest one is the latest.

    ``items`` counts distinct items read; ``expected`` is None where the provider does not tell. ``positions``
    (partition to offset of the last item sent) comes with the final event: the items are readable once a reader has
    passed them.
    """

    sync: str
    job: str
    step: int
    connection: str
    resource: str
    state: JobState
    pages: int = 0
    items: int = 0
    expected: int | None = None
    waiting: Waiting | None = None
    error: Problem | None = None
    receipt: Receipt | None = None
    positions: dict[int, int] = {}
    started: str | None = None
    ended: str | None = None


KINDS: dict[str, type[JobProgress]] = {
    "JobStarted": JobProgress,
    "PageLoaded": JobProgress,
    "JobWaiting": JobProgress,
    "JobFinished": JobProgress,
    "JobFailed": JobProgress,
}

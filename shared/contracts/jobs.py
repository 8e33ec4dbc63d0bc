"""What the fetcher tells itself on ``tributary.jobs.v1`` and ``tributary.jobs.background.v1``."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from shared.contracts.vocabulary import JobId


class RunJob(msgspec.Struct, frozen=True, kw_only=True):
    """Ask a worker to claim a job and read its next pages, for a few seconds at most.

    It is a pointer: cursor and state stay in the fetcher's table. It counts only while the job is ready or waiting and
    the job's own ``dispatch`` is this one; any other is a repeat and is ignored.
    """

    job_id: JobId
    dispatch: Annotated[
        int,
        msgspec.Meta(
            description="Rises by one each time the job is handed out again.", examples=[7]
        ),
    ]


KINDS: Final[dict[str, type[RunJob]]] = {"RunJob": RunJob}

"""Commands of the fetcher to itself on the topics ``tributary.jobs.v1`` and ``….background.v1``."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from shared.contracts.vocabulary import JobId


class RunJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Ask a worker to claim a job and read its next pages, for a few seconds at most.

    It is a pointer: cursor and state stay in the fetcher's table. It counts only while the job is
    ready or waiting and its row has the same ``dispatch``; any other message is a repeat and is
    ignored.
    """

    job_id: JobId
    dispatch: Annotated[
        int,
        msgspec.Meta(description="Rises by one each time the job is dispatched.", examples=[7]),
    ]
    hurried: Annotated[
        bool,
        msgspec.Meta(description="True if somebody has asked for it now.", examples=[True]),
    ] = False


KINDS: Final[dict[str, type[RunJob]]] = {"RunJob": RunJob}

"""Say what of a resource is stale: held as it was earlier, because it could not be read since."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from services.gateway.http.fields import TIME
from shared.contracts.progress import JobProgress, PartOutcome
from shared.contracts.vocabulary import ConnectionId, ResourceSlug


class StaleResource(msgspec.Struct, frozen=True, kw_only=True):
    """A resource that its last sync could not read completely.

    Its items stay as they were last read: no item is deleted, or sent again, because of this.
    """

    connection_id: ConnectionId
    resource: ResourceSlug
    stale_since: Annotated[
        str | None,
        Meta(
            description="When all of it was last read; null if it never was.",
            examples=["2026-01-30T09:30:00.000Z"],
            extra_json_schema=TIME,
        ),
    ] = None
    code: Annotated[str, Meta(description="A stable code for programs.", examples=["forbidden"])]
    detail: Annotated[
        str,
        Meta(
            description="What happened and what to do about it, for people.",
            examples=["Acme refused the table “Plums”. Give the account access to it."],
        ),
    ]
    parts: Annotated[
        tuple[PartOutcome, ...],
        Meta(
            description="The parts of it that are stale, at most 200; empty if all of it is stale."
        ),
    ] = ()


def left_stale(body: JobProgress) -> StaleResource | None:
    """Return what a job that has ended leaves stale; None when it has read all parts."""
    parts = body.receipt.parts if body.receipt else None
    left = () if parts is None else (*parts.named, *parts.unreached)
    # A record that nobody can read costs only itself.
    if body.error is None or (parts is not None and not left):
        return None
    return StaleResource(
        connection_id=body.connection_id,
        resource=body.resource,
        code=body.error.code,
        detail=body.error.detail,
        parts=left,
    )

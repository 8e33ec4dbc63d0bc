"""Events of the fetcher on ``tributary.progress.v1``: at each change, everything known of a job."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from shared.contracts.vocabulary import (
    AskedToWaitUntil,
    ConnectionId,
    EndedAt,
    ItemsExpected,
    ItemsRead,
    JobId,
    PagesRead,
    PartId,
    ResourceSlug,
    StartedAt,
    SyncId,
    SyncState,
    WaitingCode,
    WaitingReason,
    WaitingUntil,
)

Outcome = Literal["done", "incomplete", "failed"]
FINAL: Final[frozenset[str]] = frozenset({"done", "incomplete", "failed"})
MOST_LEFT_OUT: Final = 100
"""Fields left out that a receipt names; the others are counted."""
SAID_IN_ERRORS: Final = 3
"""The error of a job says of so many parts what was wrong; its receipt names more."""


class JobError(msgspec.Struct, frozen=True, kw_only=True):
    """The reason why a job failed or is incomplete."""

    code: Annotated[
        str, Meta(description="A stable code for programs.", examples=["missing_scope"])
    ]
    detail: Annotated[
        str,
        Meta(
            description="What happened and what to do about it, for people.",
            examples=[
                "Acme did not grant data.records:read: connect the account again and allow it."
            ],
        ),
    ]
    scope: Annotated[
        str | None,
        Meta(
            description="The missing scopes, separated by spaces; null if none is missing.",
            examples=["data.records:read"],
        ),
    ] = None


class PartOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The end of a part of a walk (a base, a table, a data source) that was not read completely."""

    part: PartId
    name: Annotated[
        str,
        Meta(description="The part as people know it.", examples=["table “Plums” of base “Fruit”"]),
    ] = ""
    outcome: Annotated[Outcome, Meta(description="How the part ended.", examples=["incomplete"])]
    code: Annotated[str, Meta(description="A stable code for programs.", examples=["forbidden"])]
    detail: Annotated[
        str, Meta(description="What happened, for people.", examples=["Acme refused the table."])
    ]
    remedy: Annotated[
        str,
        Meta(
            description="What to do about it, for people.",
            examples=["Give the account access to the base."],
        ),
    ]
    stale_since: Annotated[
        str | None,
        Meta(
            description="When it was last read completely: items of it may be older than at the "
            "provider since. Absent if it never was.",
            examples=["2026-01-30T09:30:00.000Z"],
            extra_json_schema={"format": "date-time"},
        ),
    ] = None


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a walk, by outcome."""

    total: Annotated[int, Meta(description="The number of parts.", examples=[14])]
    by_outcome: Annotated[
        dict[str, int],
        Meta(description="Outcome → number of parts.", examples=[{"done": 13, "incomplete": 1}]),
    ]
    named: Annotated[
        tuple[PartOutcome, ...],
        Meta(description="The parts that were not read completely, at most 100 of them."),
    ] = ()
    unreached: Annotated[
        tuple[PartOutcome, ...],
        Meta(
            description="Parts read by an earlier sync that this one did not come to, because what "
            "names them could not be read; at most 100, not counted in `total`."
        ),
    ] = ()
    unreached_total: Annotated[
        int,
        Meta(description="The number of those parts, also beyond the first 100.", examples=[0]),
    ] = 0

    @property
    def names_all(self) -> bool:
        """Return True if every part that was not read completely is named."""
        flawed = self.total - self.by_outcome.get("done", 0)
        return flawed <= len(self.named) and self.unreached_total <= len(self.unreached)


class HeldDeletions(msgspec.Struct, frozen=True, kw_only=True):
    """A part of which so many items are no longer found that none is deleted at once.

    They are deleted when the provider still refuses them an hour later, or when a person confirms.
    """

    part: PartId
    name: Annotated[
        str,
        Meta(description="The part as people know it.", examples=["table “Plums” of base “Fruit”"]),
    ]
    items: Annotated[int, Meta(description="How many items are kept for now.", examples=[120])]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The account of a job: what it counted, read, sent, deleted and dropped, and why.

    Null: not counted by this version.
    """

    counted_before: Annotated[
        int | None,
        Meta(description="Objects that the provider counted before the walk.", examples=[1180]),
    ] = None
    counted_after: Annotated[
        int | None,
        Meta(
            description="Objects that the provider counted after the walk; null if what was read "
            "covers the count before it.",
            examples=[1181],
        ),
    ] = None
    created_meanwhile: Annotated[
        int | None,
        Meta(
            description="Objects read that are younger than the walk, so that `counted_before` may "
            "lack them.",
            examples=[2],
        ),
    ] = None
    ghosts: Annotated[
        int | None,
        Meta(
            description="Objects that the provider counts, although it does not find them by id.",
            examples=[1],
        ),
    ] = None
    read: Annotated[
        int,
        Meta(
            description="Objects in the pages that were read; one that came twice counts twice.",
            examples=[1180],
        ),
    ] = 0
    emitted: Annotated[
        int, Meta(description="Items sent because they were new or changed.", examples=[12])
    ] = 0
    unchanged: Annotated[
        int, Meta(description="Items not sent because nothing had changed.", examples=[1168])
    ] = 0
    deleted: Annotated[int, Meta(description="Items deleted.", examples=[3])] = 0
    unconfirmed: Annotated[
        int | None,
        Meta(
            description="Known items that were neither read nor confirmed as gone; they are kept.",
            examples=[1],
        ),
    ] = None
    held: Annotated[
        tuple[HeldDeletions, ...] | None,
        Meta(description="Parts whose deletions are held, at most 100; they are in `unconfirmed`."),
    ] = None
    dropped: Annotated[
        int,
        Meta(
            description="Objects that could not be understood; each is a dead letter.", examples=[0]
        ),
    ] = 0
    truncated: Annotated[
        int | None,
        Meta(
            description="Items that the provider truncated and that are not completed yet; each "
            "names its fields in `truncated`.",
            examples=[0],
        ),
    ] = None
    left_out: Annotated[
        tuple[str, ...] | None,
        Meta(
            description="Names of the fields that the provider was not asked for, in alphabetical "
            "order, at most 100 of them. `TRIBUTARY_ALL_FIELDS` includes them, except what the "
            "provider marks as sensitive. Null if the provider's fields are not chosen, or none "
            "were read.",
            examples=[["hs_history"]],
        ),
    ] = None
    left_out_total: Annotated[
        int | None,
        Meta(
            description="How many fields the provider was not asked for; `left_out` names the "
            "first 100.",
            examples=[1],
        ),
    ] = None
    restarts: Annotated[
        int, Meta(description="How often the walk started again.", examples=[0])
    ] = 0
    oversized: Annotated[
        int, Meta(description="Items sent without `raw` because it was too large.", examples=[0])
    ] = 0
    drop_reasons: Annotated[
        dict[str, int],
        Meta(description="Code → number of dropped objects.", examples=[{"malformed": 1}]),
    ] = {}
    odd_fields: Annotated[
        dict[str, int],
        Meta(
            description="Field → number of objects in which it could not be read, such as a time "
            "that is none. It is null in the item; `raw` has it as it came.",
            examples=[{"created_time": 1}],
        ),
    ] = {}
    changed_meanwhile: Annotated[
        int | None,
        Meta(description="Objects that changed while they were being read.", examples=[0]),
    ] = None
    reconciled: Annotated[
        bool | None,
        Meta(
            description="True if every object that the provider counted was read, or is not found "
            "by its id. False if not: `unreconciled_reason` says why. Null if the provider gives "
            "no count, or the walk was broken off.",
            examples=[True],
        ),
    ] = None
    unreconciled_reason: Annotated[
        str | None,
        Meta(
            description="Why `reconciled` is false, for people; else null.",
            examples=["Acme's count could not be had: Acme is not available (status 503)."],
        ),
    ] = None
    parts: Annotated[Parts | None, Meta(description="The parts of the walk, by outcome.")] = None
    as_of: Annotated[
        str | None,
        Meta(
            description="When the oldest page of the walk was read: what has changed at the "
            "provider since may be missing.",
            examples=["2026-01-31T09:29:58.000Z"],
            extra_json_schema={"format": "date-time"},
        ),
    ] = None
    digest: Annotated[
        str | None,
        Meta(
            description="Digest of all items of the resource when the job ends, in hex: the sum, "
            "modulo 2^128, of BLAKE2b-128(id ‖ content digest). `docs/consume.md` computes it from "
            "the topic. Null while it is not known what readers have of some item; the next sync "
            "sends such items again.",
            examples=["9f86d081884c7d659a2feaa0c55ad015"],
        ),
    ] = None


class JobProgress(msgspec.Struct, frozen=True, kw_only=True):
    """A job as one of its syncs sees it. The event with the highest ``step`` is the latest."""

    sync_id: SyncId
    job_id: JobId
    step: Annotated[int, Meta(description="Rises by one at every event of the job.", examples=[4])]
    connection_id: ConnectionId
    resource: ResourceSlug
    state: SyncState
    pages: PagesRead = 0
    items: ItemsRead = 0
    expected: ItemsExpected = None
    waiting_reason: WaitingReason = None
    waiting_code: WaitingCode = None
    waiting_until: WaitingUntil = None
    asked_to_wait_until: AskedToWaitUntil = None
    error: Annotated[
        JobError | None, Meta(description="Why it failed or is incomplete; else null.")
    ] = None
    receipt: Annotated[
        Receipt | None, Meta(description="Set in the job's last event; null before.")
    ] = None
    item_positions: Annotated[
        dict[int, int],
        Meta(
            description="Partition of `tributary.items.v1` → offset of the last item sent, in "
            "the job's last event. A reader that has passed them has every item of the job.",
            examples=[{"3": 1841}],
        ),
    ] = {}
    started_at: StartedAt = None
    ended_at: EndedAt = None


KINDS: Final[dict[str, type[JobProgress]]] = {
    "JobStarted": JobProgress,
    "PageLoaded": JobProgress,
    "JobWaiting": JobProgress,
    "JobFinished": JobProgress,
    "JobFailed": JobProgress,
}

"""The words that Kafka and REST share: each field's meaning, format and example, defined once.

A contract or a REST view annotates its field with one of these types. The documentation pages,
``docs/asyncapi.json`` and ``docs/openapi.json`` take their descriptions from them. The annotations
cost nothing when a message is decoded.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import Meta

_TIME: Final[dict[str, Any]] = {"format": "date-time"}
_URL: Final[dict[str, Any]] = {"format": "uri"}

OrgId = Annotated[
    str,
    Meta(
        description="Your own id for the organisation that the connection belongs to.",
        examples=["acme"],
    ),
]
UserId = Annotated[
    str,
    Meta(
        description="Your own id for the person who connected the account.",
        examples=["user-42"],
    ),
]
ProviderSlug = Annotated[
    str,
    Meta(
        description="The provider's short name, as `GET /v1/providers` lists it.", examples=["acme"]
    ),
]
ResourceSlug = Annotated[
    str,
    Meta(description="The type of object, as `GET /v1/providers` lists it.", examples=["pages"]),
]
ConnectionId = Annotated[
    str, Meta(description="The connection's id.", examples=["019ac0de5b7e7d2a9f6c1e2b3a4d5c6f"])
]
SyncId = Annotated[
    str, Meta(description="The sync's id.", examples=["019ac0de6f1072c3b1d0a4e5f6071829"])
]
JobId = Annotated[
    str,
    Meta(
        description="The id of the job that reads one resource; several syncs may share a job.",
        examples=["019ac0de6f2a7c81a2b3c4d5e6f70819"],
    ),
]
PartId = Annotated[
    str,
    Meta(
        description="The provider's own id of a part of a resource: of a base, a table, a data "
        "source.",
        examples=["appQ1w2E3r4T5y6U/tblA"],
    ),
]
ItemId = Annotated[
    str,
    Meta(
        description="The provider's own id of the object; unique within its connection and "
        "resource.",
        examples=["1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b"],
    ),
]
Generation = Annotated[
    int,
    Meta(
        description="Rises by one each time the account is connected again after a disconnect. "
        "Starts at 1.",
        examples=[1],
    ),
]
ItemVersion = Annotated[
    int,
    Meta(
        description="Orders all records of one item: apply a record only if its version is "
        "greater than the one you have. Below 2^53, so exact in JavaScript.",
        examples=[1852200000 * 2**20 + 3],
    ),
]
Scope = Annotated[
    str,
    Meta(description="An OAuth scope as the provider names it.", examples=["data.records:read"]),
]

ConnectionStatus = Annotated[
    Literal["active", "degraded", "reauth_required", "disconnected"],
    Meta(
        description="`active`: in use. `degraded`: the token cannot be refreshed at the moment; "
        "the current one still works. `reauth_required`: the account must be connected "
        "again. `disconnected`: revoked; its items are deleted.",
        examples=["active"],
    ),
]
SyncState = Annotated[
    Literal["queued", "running", "waiting", "done", "incomplete", "failed"],
    Meta(
        description="`queued`: no page has been read yet. `running`: pages are being read. "
        "`waiting`: nothing is read until `waiting_until`, for `waiting_reason`. `done`: "
        "everything was read. `incomplete`: it ended without some part; the `error` of the "
        "resource says which and why. `failed`: it ended without reading what was asked.",
        examples=["running"],
    ),
]
Trigger = Annotated[
    Literal["connected", "person", "legacy", "follow_up", "schedule", "gap", "reconcile"],
    Meta(
        description="Why the sync runs. `connected`: the account was just connected. `person`: "
        "somebody requested it by API or console. `legacy`: the original app's routes "
        "requested it. `follow_up`, `schedule`, `gap` and `reconcile` are reserved for syncs "
        "that start by themselves.",
        examples=["person"],
    ),
]
SyncMode = Annotated[
    Literal["full"], Meta(description="`full` reads every object again.", examples=["full"])
]
TombstoneReason = Annotated[
    Literal[
        "deleted",
        "archived",
        "merged",
        "trashed",
        "erased",
        "not_visible",
        "disconnected",
        "switched_off",
        "removed",
    ],
    Meta(
        description="Why an item is gone. `deleted`, `archived`, `trashed`, `erased`: the "
        "provider said so. `merged`: into the item named by `merged_into`. `not_visible`: its "
        "part was read whole without it, and the provider refuses it by its id. "
        "`disconnected`: the account was disconnected. `switched_off`: the resource is no longer "
        "synced. `removed`: a person removed a stale part.",
        examples=["not_visible"],
    ),
]

ServiceName = Annotated[
    Literal["auth", "fetcher", "gateway"],
    Meta(description="A service of Tributary.", examples=["gateway"]),
]

PagesRead = Annotated[int, Meta(description="Calls that returned a page so far.", examples=[12])]
ItemsRead = Annotated[int, Meta(description="Distinct items read so far.", examples=[1180])]
ItemsExpected = Annotated[
    int | None,
    Meta(
        description="How many items the provider says there are; null if it does not say.",
        examples=[12000],
    ),
]
WaitingReason = Annotated[
    str | None,
    Meta(
        description="Why nothing is being read, for people; null unless the state is `waiting`.",
        examples=["Acme is limiting calls at the moment."],
    ),
]
WaitingCode = Annotated[
    str | None,
    Meta(
        description="A stable code for the reason, for programs; null unless the state is "
        "`waiting`. `fresh_token_refused`: the provider refuses even new access tokens, which "
        "connecting the account again may mend.",
        examples=["rate_limited"],
    ),
]
WaitingUntil = Annotated[
    str | None,
    Meta(
        description="When reading is due to continue; null unless the state is `waiting`.",
        examples=["2026-01-31T09:30:08.000Z"],
        extra_json_schema=_TIME,
    ),
]
AskedToWaitUntil = Annotated[
    str | None,
    Meta(
        description="Until when the provider itself has asked to wait: it is not tried before, "
        "whoever asks. Null if it can be tried at once, and unless the state is `waiting`.",
        examples=["2026-01-31T09:30:08.000Z"],
        extra_json_schema=_TIME,
    ),
]
StartedAt = Annotated[
    str | None,
    Meta(
        description="When the first page was requested; null before.",
        examples=["2026-01-31T09:30:00.000Z"],
        extra_json_schema=_TIME,
    ),
]
EndedAt = Annotated[
    str | None,
    Meta(
        description="When it ended; null before.",
        examples=["2026-01-31T09:31:12.000Z"],
        extra_json_schema=_TIME,
    ),
]
RequestedAt = Annotated[
    str,
    Meta(
        description="When it was requested.",
        examples=["2026-01-31T09:29:59.512Z"],
        extra_json_schema=_TIME,
    ),
]

ItemName = Annotated[str, Meta(description="The item's name for people.", examples=["Launch plan"])]
ParentId = Annotated[
    str | None,
    Meta(
        description="The id of the object that contains this one; null if there is none.",
        examples=["9a8b7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d"],
    ),
]
ItemUrl = Annotated[
    str | None,
    Meta(
        description="The object's page at the provider; null if there is none.",
        examples=["https://app.acme.example/pages/1f2e3d4c"],
        extra_json_schema=_URL,
    ),
]
ProviderCreatedAt = Annotated[
    str | None,
    Meta(
        description="When the object was created, by the provider's clock; null if the provider "
        "does not say.",
        examples=["2025-11-02T14:05:00.000Z"],
        extra_json_schema=_TIME,
    ),
]
ProviderModifiedAt = Annotated[
    str | None,
    Meta(
        description="When the object was last changed, by the provider's clock; null if the "
        "provider does not say.",
        examples=["2026-01-30T08:12:00.000Z"],
        extra_json_schema=_TIME,
    ),
]
SyncedAt = Annotated[
    str,
    Meta(
        description="When the item's present content was stored here. A read that finds nothing "
        "new does not move it.",
        examples=["2026-01-31T09:30:05.250Z"],
        extra_json_schema=_TIME,
    ),
]
Raw = Annotated[
    dict[str, Any] | None,
    Meta(
        description="The whole object as the provider returned it; null if it is larger than 900 "
        "kB.",
        examples=[
            {"object": "page", "id": "1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b", "archived": False}
        ],
    ),
]
RawBytes = Annotated[
    int | None,
    Meta(
        description="The size of `raw` in bytes if it was too large to send; else null.",
        examples=[1048576],
    ),
]
Truncated = Annotated[
    tuple[str, ...],
    Meta(
        description="The fields of `raw` of which the provider gave only the beginning, by its own "
        "ids of them; empty if the item is complete.",
        examples=[["title"]],
    ),
]

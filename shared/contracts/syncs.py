"""Commands of the gateway on ``tributary.syncs.v1``."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from shared.contracts.vocabulary import (
    ConnectionId,
    ItemId,
    ItemVersion,
    PartId,
    RequestedAt,
    ResourceSlug,
    SyncId,
    SyncMode,
    Trigger,
)


class SyncRequested(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a connection to be synced."""

    sync_id: SyncId
    connection_id: ConnectionId
    mode: SyncMode = "full"
    resources: Annotated[
        tuple[ResourceSlug, ...] | None,
        Meta(
            description="The resources to read; null means every granted one.", examples=[["pages"]]
        ),
    ] = None
    trigger: Trigger = "person"
    requested_at: RequestedAt
    resolved_resources: Annotated[
        tuple[ResourceSlug, ...],
        Meta(
            description="The resources that the sync reports on, in order: those chosen, or else "
            "all that the provider had when it was requested, granted or not.",
            examples=[["pages", "databases"]],
        ),
    ] = ()
    background: Annotated[
        bool,
        Meta(
            description="True if nobody waits for it: everything else goes first.",
            examples=[False],
        ),
    ] = False


class RefetchItems(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for some items to be read again, because an older version was appended after a newer one.

    They are sent under a version above ``highest_version``.
    """

    connection_id: ConnectionId
    resource: ResourceSlug
    ids: Annotated[
        tuple[ItemId, ...], Meta(description="The items to read.", examples=[["1f2e3d4c"]])
    ]
    highest_version: Annotated[
        ItemVersion, Meta(description="The highest version of these ids that the gateway has.")
    ]


class ConfirmDeletions(msgspec.Struct, frozen=True, kw_only=True):
    """Delete the items of a part that the provider refuses by id and whose deletion is held."""

    connection_id: ConnectionId
    resource: ResourceSlug
    part: PartId


class RemovePart(msgspec.Struct, frozen=True, kw_only=True):
    """Delete the items of a part that cannot be read any more, by a person's order."""

    connection_id: ConnectionId
    resource: ResourceSlug
    part: PartId


class RetrySync(msgspec.Struct, frozen=True, kw_only=True):
    """Try a waiting sync at once, except where the provider itself has asked for the wait."""

    sync_id: SyncId
    connection_id: ConnectionId


Command = SyncRequested | RefetchItems | ConfirmDeletions | RemovePart | RetrySync
KINDS: Final[dict[str, type[Command]]] = {
    "SyncRequested": SyncRequested,
    "RefetchItems": RefetchItems,
    "ConfirmDeletions": ConfirmDeletions,
    "RemovePart": RemovePart,
    "RetrySync": RetrySync,
}

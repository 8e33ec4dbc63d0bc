"""What the gateway asks for on ``tributary.syncs.v1``."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from shared.contracts.vocabulary import (
    ConnectionId,
    ItemId,
    ItemVersion,
    RequestedAt,
    ResourceSlug,
    SyncId,
    SyncMode,
    Trigger,
)


class SyncRequested(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a connection to be read."""

    sync_id: SyncId
    connection_id: ConnectionId
    mode: SyncMode = "full"
    resources: Annotated[
        tuple[ResourceSlug, ...] | None,
        Meta(description="What to read; null means every granted resource.", examples=[["pages"]]),
    ] = None
    trigger: Trigger = "person"
    requested_at: RequestedAt
    resolved_resources: Annotated[
        tuple[ResourceSlug, ...],
        Meta(
            description="The resources that the sync reports on, in order: those chosen, or all that the provider had "
            "when it was asked for, granted or not.",
            examples=[["pages", "databases"]],
        ),
    ] = ()
    background: Annotated[
        bool,
        Meta(
            description="True when nobody waits for it: everything else goes first.",
            examples=[False],
        ),
    ] = False


class RefetchItems(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for some items to be read once more, because an older version was appended behind a newer one.

    What is read is sent under a version above ``highest_version``.
    """

    connection_id: ConnectionId
    resource: ResourceSlug
    ids: Annotated[
        tuple[ItemId, ...], Meta(description="The items to read.", examples=[["1f2e3d4c"]])
    ]
    highest_version: Annotated[
        ItemVersion, Meta(description="The highest version that the gateway holds of these ids.")
    ]


KINDS: Final[dict[str, type[SyncRequested | RefetchItems]]] = {
    "SyncRequested": SyncRequested,
    "RefetchItems": RefetchItems,
}

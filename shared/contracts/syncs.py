"""What the gateway asks for on ``tributary.syncs.v1``."""

from __future__ import annotations

from typing import Literal

import msgspec

Mode = Literal["full"]


class SyncRequested(msgspec.Struct, frozen=True, kw_only=True):
    """Load ``resources`` of ``connection`` (all granted ones when None).

    ``covers`` are the resources that the sync tells of, in order: those that were chosen, or all that the provider had
    when it was asked for, granted or not. ``background``: nobody waits for it, others go first.
    """

    sync: str
    connection: str
    mode: Mode = "full"
    resources: tuple[str, ...] | None = None
    why: str = "asked"
    requested: str
    covers: tuple[str, ...] = ()
    background: bool = False


class ReadAgain(msgspec.Struct, frozen=True, kw_only=True):
    """An item was overtaken by a late append: read these ids once more, which emits a newer version."""

    connection: str
    resource: str
    ids: tuple[str, ...]


KINDS: dict[str, type[SyncRequested | ReadAgain]] = {"SyncRequested": SyncRequested, "ReadAgain": ReadAgain}

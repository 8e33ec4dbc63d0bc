"""Keep the sandbox's own time, which the control API can move forward."""

from __future__ import annotations

import msgspec

from deploy.sandbox.world.store import DurableMap, Store
from shared.clock import now
from shared.contracts.envelope import timestamp


class Offset(msgspec.Struct, frozen=True):
    seconds: float


class Clock:
    """Tell the product's time plus an offset that survives restarts."""

    def __init__(self, store: Store) -> None:
        self._saved = DurableMap(store, "clock", Offset)

    def now(self) -> float:
        """Return epoch seconds."""
        return now() + self.offset

    def iso(self) -> str:
        return timestamp(self.now())

    @property
    def offset(self) -> float:
        saved = self._saved.get("offset")
        return saved.seconds if saved else 0.0

    def advance(self, seconds: float) -> None:
        """Move forward; never back, or what has expired would be valid again."""
        self._saved["offset"] = Offset(self.offset + seconds)

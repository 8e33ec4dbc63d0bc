"""Count and list ids as a provider's index does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from shared.connector import RetryLater, Span


class CountIndex:
    """Count the ids that an orchard says it has, which may not be those that there are."""

    def __init__(self) -> None:
        self.ids: dict[str, list[str]] = {}
        """Resource → the ids that are counted; a resource without them is not counted."""
        self.failing = 0
        """The number of counts that fail before one does not."""
        self.unlisted: set[str] = set()
        """Ids that are counted but never listed."""
        self.weighs: Callable[[Span | None], None] | None = None
        """Called with the span of each count that is asked for; may raise."""
        self.gate: asyncio.Event | None = None
        """An event that blocks counts until it is set; None does not block."""
        self.counted: list[Span | None] = []
        self.listed: list[Span] = []

    async def count(self, resource: str, span: Span | None) -> int | None:
        if self.failing > 0:
            self.failing -= 1
            raise RetryLater("not now")
        if self.gate is not None:
            await self.gate.wait()
        if resource not in self.ids:
            return None
        self.counted.append(span)
        if self.weighs is not None:
            self.weighs(span)
        return len([id_ for id_ in self.ids[resource] if span is None or span.has(id_)])

    def list(self, resource: str, span: Span) -> tuple[str, ...]:
        self.listed.append(span)
        found = set(self.ids[resource]) - self.unlisted
        return tuple(sorted(filter(span.has, found), key=int))

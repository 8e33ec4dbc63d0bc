"""An item as it is read."""

from __future__ import annotations

from typing import NamedTuple


class StoredItem(NamedTuple):
    """What is shown of a row. ``raw`` is JSON; None when the record was too large, of ``raw_bytes``."""

    connection: str
    resource: str
    id: str
    provider: str
    org_id: str
    version: int
    name: str
    parent_id: str | None
    url: str | None
    created: str | None
    modified: str | None
    updated: str
    raw: bytes | None
    raw_bytes: int | None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.connection, self.resource, self.id

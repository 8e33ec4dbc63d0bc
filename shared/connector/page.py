"""What a connector reads and gives back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from shared.connector.interruptions import Interruption
    from shared.connector.provider import Bucket

Cursor = dict[str, Any]
"""JSON, written to the database after every page; None stands for the beginning or the end."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One call to the provider's API; ``path`` starts with a slash and is appended to the provider's API URL."""

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    json: Any = msgspec.UNSET
    headers: dict[str, str] = {}
    buckets: tuple[str, ...] = ()


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """``headers`` have lower-case names. ``body`` is decoded JSON where the answer was JSON, else None."""

    status: int
    headers: dict[str, str]
    body: Any
    """For a status of 400 and more: whatever JSON came, or None for HTML and the like."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A normalised record, before it has a version. ``name`` is what a person would call it, never empty.

    ``raw`` is the whole object as the provider gave it. ``content`` is the part of it whose change makes a new version
    of the item; None: all of it.
    """

    id: str
    name: str
    raw: dict[str, Any]
    content: dict[str, Any] | None = None
    parent_id: str | None = None
    url: str | None = None
    created_at: str | None = None
    modified_at: str | None = None


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """A record that could not be read; ``pointer`` is a JSON pointer into the page, ``raw`` its bytes."""

    pointer: str
    reason: str
    raw: bytes


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """``cursor`` None ends the walk. ``part`` names the piece of the walk that is read (a table, a stage)."""

    records: list[Record]
    cursor: Cursor | None
    rejected: list[Rejected] = []
    part: str = ""


class Call(Protocol):
    """Sends a request as the connection: waits for quota, adds the token, refreshes it once on a 401."""

    async def __call__(self, request: Request) -> Response:
        """Return a 2xx answer.

        Raises:
            Interruption: anything else, as the connector's ``problem`` classifies it.
        """
        ...


class Connector(Protocol):
    """A provider's behaviour. It holds no state: all of a walk is in its cursor."""

    async def page(self, call: Call, resource: str, cursor: Cursor | None) -> Page:
        """Read the page at ``cursor``, the first one when None."""
        ...

    async def expected(self, call: Call, resource: str) -> int | None:
        """How many records the provider says there are, None when it does not say."""
        ...

    async def read(self, call: Call, resource: str, ids: tuple[str, ...]) -> Page:
        """Read these items again, by id; what is gone is absent. The page has no cursor."""
        ...

    def problem(self, response: Response) -> Interruption | None:
        """Classify an answer; None when it is a success."""
        ...

    def limits(self, response: Response) -> tuple[Bucket, ...]:
        """Limits that an answer tells of, under the names of the provider's own buckets; they replace those."""
        ...

"""Define what a connector is given, what it returns, and the methods that it must have.

This is all that the fetcher knows of a provider: it sends the connector's requests, saves its
cursors and emits its records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, runtime_checkable

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.connector.interruptions import Interruption
    from shared.connector.provider import Bucket

Cursor = dict[str, Any]
"""JSON, saved in the database after every page: a few hundred bytes, ``LONGEST_CURSOR`` at most.
None stands for the beginning or the end of a part."""
LONGEST_CURSOR: Final = 3_000
"""Bytes of a cursor's JSON."""
GoneReason = Literal["deleted", "archived", "merged", "trashed", "erased"]
PartSchema = dict[str, Any]
"""JSON needed to interpret a part's pages, such as its field names."""
LEFT_OUT: Final = "left_out"
"""The key of a schema under which stands what pages are not asked for. A part goes on when that
changes; a change of anything else starts it again."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One call to the provider's API.

    ``path`` starts with a slash and is appended to the provider's API URL. ``buckets`` names the
    limits that the call counts against.
    """

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    json: Any = msgspec.UNSET
    headers: dict[str, str] = {}
    buckets: tuple[str, ...] = ()


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's answer. Header names are lower case.

    ``body`` is decoded JSON, or None when the answer was not JSON. Only an error can come without
    JSON (such as an HTML page of a proxy): a success without it never reaches a connector's
    ``page``.
    """

    status: int
    headers: dict[str, str]
    body: Any


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A normalised record, before it has a version.

    ``name`` is what a person would call it, and is never empty. ``raw`` is the whole object as the
    provider gave it. ``content`` is the share of it whose change makes a new version of the item;
    None means all of it. ``part`` is the id of the part that the record belongs to by its own
    parent, which is not always the part that it was found in; None means that part. ``replaces``
    holds the ids of objects that were merged into it, as far as the record names them. ``odd``
    names the fields beside the content (a time, a link, a name) that the provider sent in an
    unexpected form: they are null here, and ``raw`` has them. ``truncated`` names the fields of
    ``raw`` of which the provider gave only the beginning, by names that stay when people rename
    them.
    """

    id: str
    name: str
    raw: dict[str, Any]
    content: dict[str, Any] | None = None
    parent_id: str | None = None
    url: str | None = None
    created_at: str | None = None
    modified_at: str | None = None
    part: str | None = None
    replaces: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    truncated: tuple[str, ...] = ()


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """A record that could not be read.

    ``pointer`` is a JSON pointer into the page (RFC 6901), ``raw`` the record as JSON.
    """

    pointer: str
    reason: str
    raw: bytes


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a walk that is read by itself: an object type, a table, a data source.

    ``id`` is unique within the resource; ``name`` is what a person would call the part. A part that
    ``lists`` holds no records and only names other parts. Parts with the same ``schema`` key share
    one schema; None means that their pages need none.
    """

    id: str
    name: str
    lists: bool = False
    schema: str | None = None


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The place of a page: its part, the cursor within the part, and how many records to ask for.

    ``schema`` is what ``Connector.schema`` returned for the part, None when it needs none.
    """

    part: Part
    cursor: Cursor | None = None
    size: int
    schema: PartSchema | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a part and its records. ``cursor`` None ends the part.

    ``parts`` are the parts of the walk that the page names; one that is named twice is read once.
    ``schemas`` holds the schemas that the page brought along, by their keys. At the end of a part,
    ``missing`` says why the part is incomplete all the same: the provider cut it off.
    """

    records: list[Record]
    cursor: Cursor | None
    rejected: list[Rejected] = []
    parts: tuple[Part, ...] = ()
    schemas: dict[str, PartSchema] = {}
    missing: str | None = None


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """An object that its provider says is gone: archived, in the trash, merged into another.

    ``merged_into`` is the id of that other one.
    """

    id: str
    reason: GoneReason
    merged_into: str | None = None


class Span(msgspec.Struct, frozen=True):
    """A range of ids that are decimal numbers: from ``first`` up to ``end``, which is not in it.

    None stands for no end.
    """

    first: str
    end: str | None = None

    def has(self, id_: str) -> bool:
        """Return True if the id is a number within the range."""
        if not (id_.isascii() and id_.isdigit()):
            return False
        return int(self.first) <= int(id_) and (self.end is None or int(id_) < int(self.end))


class Lookup(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a provider that was asked for objects by their ids.

    An id is in one of the fields at most. ``records`` exist. The provider itself says that the
    ``gone`` ones are gone. Each ``absent`` id was refused with a 404 or 403 of its own: the object
    was deleted, or is no longer shared. About an id that is in none of them we learned nothing: a
    list without it proves nothing. ``rejected`` holds objects that could not be read.
    """

    records: list[Record] = []
    rejected: list[Rejected] = []
    gone: list[Gone] = []
    absent: list[str] = []


class FieldPiece(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a truncated field, in a form of the connector's own.

    ``body`` is JSON; ``cursor`` is the place of the next piece, None after the last one.
    """

    body: Any
    cursor: Cursor | None


class Call(Protocol):
    """Send a request for the connection: wait for quota, add the token, refresh it on a 401."""

    async def __call__(self, request: Request) -> Response:
        """Return a 2xx answer.

        Raises:
            Interruption: the answer was anything else, as the connector's ``problem`` reads it.
        """
        ...


class Connector(Protocol):
    """A provider's behaviour. It holds no state: the place says everything about a walk."""

    def parts(self, resource: str) -> tuple[Part, ...]:
        """Return the parts with which a walk begins. Their pages name the others."""
        ...

    async def schema(self, call: Call, resource: str, part: Part) -> PartSchema:
        """Read the schema of a part's pages; called only for parts with a schema key."""
        ...

    async def page(self, call: Call, resource: str, place: Place) -> Page:
        """Read the page at ``place``; a cursor of None means the part's first page."""
        ...

    async def count(self, call: Call, resource: str, span: Span | None = None) -> int | None:
        """Return how many objects the provider counts, in all or with ids in ``span``.

        None means that it gives no such count. If it merely fails to, raise.
        """
        ...

    async def list_ids(self, call: Call, resource: str, span: Span) -> tuple[str, ...]:
        """Return the first ids in ``span`` of what ``count`` counts, in numeric order.

        A hundred or more at once are good; none means that there are no more. Called only if the
        provider counts.
        """
        ...

    async def read(self, call: Call, resource: str, ids: tuple[str, ...]) -> Lookup:
        """Ask for these objects by id, each once.

        Where several can be asked for at once, ask for each id that the answer lacks again by
        itself: a list without it proves nothing.
        """
        ...

    def problem(self, response: Response) -> Interruption | None:
        """Return the interruption that ``response`` means, or None when it is a success."""
        ...

    def limits(self, response: Response) -> tuple[Bucket, ...]:
        """Return the limits that an answer states, under the names of the provider's buckets.

        They replace the numbers that ``Provider.buckets`` started with.
        """
        ...


@runtime_checkable
class Completes(Protocol):
    """Extend a connector whose provider truncates objects (``Record.truncated``)."""

    async def piece(
        self, call: Call, resource: str, id_: str, field: str, cursor: Cursor | None
    ) -> FieldPiece:
        """Read a piece of a truncated field of the object ``id_``, with one call.

        A cursor of None means the field's first piece, whatever the list has already given.
        """
        ...

    def completed(
        self, resource: str, raw: dict[str, Any], pieces: Mapping[str, Sequence[Any]]
    ) -> Record:
        """Return the record of ``raw``, as a list gave it, with whole fields in their places.

        ``pieces`` maps each field that was read to its pieces. What is still not complete stands in
        the record's ``truncated``.
        """
        ...


@runtime_checkable
class ListsDeleted(Protocol):
    """Extend a connector that learns of many deletions with a few calls.

    ``Connector.read`` may take a call for each id; this is asked first.
    """

    async def deleted(self, call: Call, resource: str, ids: tuple[str, ...]) -> list[Gone]:
        """Return those of ``ids`` that the provider says are gone, with a few calls for them all.

        ``read`` is asked for the others.
        """
        ...


@runtime_checkable
class LeavesOut(Protocol):
    """Extend a connector that does not ask for some fields unless it is told to."""

    def with_all_fields(self) -> Connector:
        """Return a connector that asks for all of them."""
        ...

    def left_out(self, schema: PartSchema) -> tuple[str, ...]:
        """Return the names of the fields that are not asked for under ``schema``."""
        ...


@runtime_checkable
class RemembersSchemas(Protocol):
    """Extend a connector that compares a schema with the one before it.

    A provider may leave fields out of a list of them by mistake. Records would lose their values,
    and get them back with the next list.
    """

    def with_last(self, schemas: Mapping[str, PartSchema]) -> Connector:
        """Return a connector that knows the last schemas of a lane, by their keys.

        They are without ``LEFT_OUT``.
        """
        ...


class Uncounted:
    """Answer for a connector whose provider gives no counts."""

    async def count(
        self,
        call: Call,  # noqa: ARG002
        resource: str,  # noqa: ARG002
        span: Span | None = None,  # noqa: ARG002
    ) -> int | None:
        return None

    async def list_ids(
        self,
        call: Call,  # noqa: ARG002
        resource: str,  # noqa: ARG002
        span: Span,  # noqa: ARG002
    ) -> tuple[str, ...]:
        return ()

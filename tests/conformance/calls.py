"""Give a connector its calls: over HTTP to a sandbox, or from recorded answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import msgspec

from services.fetcher.call import meaning
from shared.connector import (
    Call,
    Connector,
    Cursor,
    Interruption,
    Page,
    Part,
    PartSchema,
    Place,
    Record,
    Request,
    Response,
    RetryLater,
)
from shared.http import HttpClient, decode_json
from tests.conformance.recorded import Case
from tests.conformance.subject import ITEMS, Subject, Unwritten

MOST_PAGES: Final = 2_000


class SandboxCall:
    """Send requests with an access token, and raise what the fetcher makes of an answer.

    There is no quota and no refresh; ``sent`` holds the requests.
    """

    def __init__(self, subject: Subject, http: HttpClient, api_url: str, token: str) -> None:
        self._http, self._api_url, self._token = http, api_url, token
        self._subject = subject
        self.sent: list[Request] = []

    async def __call__(self, request: Request) -> Response:
        self.sent.append(request)
        answer = await self._http.request(
            request.method,
            self._api_url + request.path,
            params=list(request.params),
            headers={**request.headers, "authorization": f"Bearer {self._token}"},
            json=request.json,
        )
        is_json = "json" in answer.headers.get("content-type", "")
        body = decode_json(answer.body, None) if is_json else None
        return classified(
            self._subject, Response(status=answer.status, headers=dict(answer.headers), body=body)
        )


class RecordedCall:
    """Answer with the exchanges of a case, each once.

    ``broken_at`` is the number of the call that ``instead`` answers; all others are answered as
    recorded.
    """

    def __init__(
        self,
        subject: Subject,
        case: Case,
        *,
        broken_at: int | None = None,
        instead: Callable[[], Response] | None = None,
    ) -> None:
        self._subject, self._case = subject, case
        self._left = list(case.exchanges)
        self._broken_at, self._instead = broken_at, instead
        self.sent: list[Request] = []

    async def __call__(self, request: Request) -> Response:
        number = len(self.sent)
        self.sent.append(request)
        if number == self._broken_at and self._instead is not None:
            return classified(self._subject, self._instead())
        asked = f"{request.method} {request.path}"
        found = next((one for one in self._left if one.request == asked), None)
        if found is None:
            raise Unwritten(
                f"{self._subject.at('connector.py')} asks `{asked}`, which is not (or no longer) "
                f"among the exchanges of “{self._case.case}”. Record its answer in "
                f"{self._subject.at(ITEMS)}, or do not ask."
            )
        self._left.remove(found)
        answer = Response(status=found.status, headers=found.headers, body=found.body)
        return classified(self._subject, answer)


def classified(subject: Subject, response: Response) -> Response:
    """Return an answer that is a success; raise what the fetcher makes of any other."""
    try:
        problem = meaning(subject.connector(), subject.provider().name, response)
    except NotImplementedError as error:
        raise Unwritten(not_written(subject, "problem", error)) from None
    if problem is not None:
        raise problem
    return response


def unreachable() -> Response:
    """Fail as the fetcher's call does when the network is gone."""
    raise RetryLater("The provider cannot be reached.", code="unreachable")


class Read(NamedTuple):
    """A page, and the place at which it was read."""

    place: Place
    page: Page


async def walk(subject: Subject, call: Call, resource: str) -> list[Page]:
    """Return every page of a resource."""
    return [read.page for read in await reads_of(subject, call, resource)]


async def reads_of(subject: Subject, call: Call, resource: str) -> list[Read]:
    """Return every page of a resource with its place, each cursor taken through JSON.

    Raises:
        Unwritten: the walk would never end.
    """
    reader, schemas = subject.connector(), dict[str, PartSchema]()
    left = {part.id: part for part in reader.parts(resource)}
    named = set(left)
    reads: list[Read] = []
    while left:
        # Parts with records come before those that only name others, as with the fetcher.
        part = min(left.values(), key=lambda one: one.lists)
        for read in await _part(subject, call, resource, part, schemas):
            reads.append(read)
            found = {one.id: one for one in read.page.parts}
            left |= {id_: one for id_, one in found.items() if id_ not in named}
            named |= found.keys()
        del left[part.id]
        if len(reads) > MOST_PAGES:
            raise Unwritten(_endless(subject, resource, b"more and more parts"))
    return reads


async def _part(
    subject: Subject, call: Call, resource: str, part: Part, schemas: dict[str, PartSchema]
) -> list[Read]:
    reader = subject.connector()
    reads: list[Read] = []
    cursor: Cursor | None = None
    met: set[bytes] = set()
    while not reads or cursor is not None:
        schema = await _schema(reader, call, resource, part, schemas)
        place = Place(part=part, cursor=cursor, size=subject.provider().page_size, schema=schema)
        page = await read_page(subject, call, resource, place, reader)
        reads.append(Read(place, page))
        schemas |= page.schemas
        cursor = page.cursor
        if cursor is not None:
            cursor = through_json(subject, resource, cursor)
            note = msgspec.json.encode(cursor, order="sorted")
            if note in met or len(reads) > MOST_PAGES:
                raise Unwritten(_endless(subject, resource, note))
            met.add(note)
    return reads


async def _schema(
    reader: Connector, call: Call, resource: str, part: Part, schemas: dict[str, PartSchema]
) -> PartSchema | None:
    if part.schema is None:
        return None
    if part.schema not in schemas:
        schemas[part.schema] = await reader.schema(call, resource, part)
    return schemas[part.schema]


async def read_page(
    subject: Subject, call: Call, resource: str, place: Place, reader: Connector
) -> Page:
    """Return one page.

    Raises:
        Unwritten: the method is not written, or returns something other than a page.
    """
    try:
        page = await reader.page(call, resource, place)
    except NotImplementedError as error:
        raise Unwritten(not_written(subject, "page", error)) from None
    if not isinstance(page, Page):
        raise Unwritten(
            f"{subject.at('connector.py')}: page() returns {type(page).__name__} for {resource}. "
            "Return a Page: its records, and the cursor of the next page or None."
        )
    return page


def not_written(subject: Subject, method: str, error: NotImplementedError) -> str:
    return f"{subject.at('connector.py')}: {method}() is not written yet. {error}".rstrip()


def through_json(subject: Subject, resource: str, cursor: Cursor) -> Cursor:
    """Return a cursor as it comes back from the database.

    Raises:
        Unwritten: it is not a JSON object.
    """
    try:
        back = msgspec.json.decode(msgspec.json.encode(cursor))
    except TypeError as error:
        raise Unwritten(_not_json(subject, resource, str(error))) from None
    if not isinstance(back, dict):
        raise Unwritten(_not_json(subject, resource, "it is not an object"))
    return back


def records(pages: list[Page]) -> Iterator[Record]:
    for page in pages:
        yield from page.records


def interrupted(subject: Subject, resource: str, error: Interruption) -> Unwritten:
    """Return the sentence about a walk that was interrupted on the provider's own sandbox."""
    return Unwritten(
        f"{subject.at('connector.py')}: on its own sandbox the walk over {resource} was "
        f"interrupted by {type(error).__name__} ({error.code}): {error.reason} "
        f"Compare the request with the calls that {subject.sandbox_at} serves."
    )


def _endless(subject: Subject, resource: str, note: bytes) -> str:
    return (
        f"{subject.at('connector.py')}: the walk over {resource} comes to the same cursor twice "
        f"({note.decode()[:200]}) and would never end. Let page() send `place.cursor` to the "
        "provider, and return the cursor of the next page."
    )


def _not_json(subject: Subject, resource: str, why: str) -> str:
    return (
        f"{subject.at('walk.py')}: a cursor of {resource} is not plain JSON ({why}). Build it from "
        "dict, list, str, int, float, bool and None: it is written to the database after every "
        "page."
    )

"""Check a whole load on the provider's own sandbox while any one part of it cannot be read.

The fetcher itself runs, on the connector under test. Whatever the provider answers for that one
part, every other object arrives, every other deletion arrives, and nothing else is deleted.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import pytest
from sqlalchemy import select

from deploy.sandbox.providers import SandboxModule
from deploy.sandbox.world import OddValues
from services.fetcher.tables import known_items, parts
from services.fetcher.tests.crashing import Fetcher
from shared.connector import (
    Connector,
    Page,
    PartSchema,
    Place,
    RemembersSchemas,
    Request,
    Response,
)
from shared.contracts.progress import JobProgress
from shared.contracts.topics import ITEMS
from tests.conformance.calls import SandboxCall, classified
from tests.conformance.sandbox import Connected, SandboxClientApp
from tests.conformance.subject import Subject, Unwritten
from tests.conformance.suite.conftest import Walks

MOST_ROWS: Final = 40
"""The most objects of each resource: there is a load for each answer."""
JSON: Final = {"content-type": "application/json"}
HTML: Final = {"content-type": "text/html; charset=utf-8"}
REFUSAL: Final = {"status": "error", "message": "No."}
ANSWERS: Final = {
    "403": Response(status=403, headers=JSON, body=REFUSAL),
    "404": Response(status=404, headers=JSON, body=REFUSAL),
    "413": Response(status=413, headers=JSON, body=REFUSAL),
    "422": Response(status=422, headers=JSON, body=REFUSAL),
    "500": Response(status=500, headers=JSON, body=REFUSAL),
    "504": Response(status=504, headers=JSON, body=REFUSAL),
    "a web page": Response(status=403, headers=HTML, body=None),
}


class Owned(NamedTuple):
    """An item, and the part that owns it."""

    resource: str
    part: str
    id: str


class Obstructed:
    """A connector whose pages of one part are all answered with ``answer``."""

    def __init__(self, subject: Subject, connector: Connector, call: SandboxCall) -> None:
        self._subject, self._call, self._inner = subject, call, connector
        self.victim: tuple[str, str] | None = None
        self.answer: Response | None = None

    async def page(self, _: object, resource: str, place: Place) -> Page:
        if (resource, place.part.id) == self.victim:
            return await self._inner.page(self._answered, resource, place)
        return await self._inner.page(self._call, resource, place)

    async def _answered(self, request: Request) -> Response:
        assert self.answer is not None
        return classified(self._subject, self.answer)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._inner, name)
        if name == "with_last":
            return self._with_last
        if not inspect.iscoroutinefunction(method):
            return method
        return lambda _, *given, **named: method(self._call, *given, **named)

    def _with_last(self, schemas: Mapping[str, PartSchema]) -> Obstructed:
        assert isinstance(self._inner, RemembersSchemas)
        self._inner = self._inner.with_last(schemas)
        return self


class Load(NamedTuple):
    """A fetcher that has loaded an account once."""

    app: SandboxClientApp
    account: str
    fetcher: Fetcher
    connector: Obstructed
    resources: tuple[str, ...]

    async def again(self, sync: str) -> dict[str, JobProgress]:
        """Return resource → how its job of another sync ended."""
        await self.fetcher.ask(sync)
        await self.fetcher.run_until_over()
        told = self.fetcher.newest_progress()
        return {resource: told[sync, resource] for resource in self.resources}

    async def walked(self) -> dict[tuple[str, str], str | None]:
        """Return the resource and id of every part → the part that names it."""
        columns = (parts.c.resource, parts.c.id, parts.c.found_in)
        query = select(*columns).order_by(parts.c.resource, parts.c.position)
        async with self.fetcher.database.read() as db:
            return {(row.resource, row.id): row.found_in for row in await db.execute(query)}

    async def items(self) -> list[Owned]:
        query = select(known_items.c.resource, known_items.c.part, known_items.c.id)
        async with self.fetcher.database.read() as db:
            return [Owned(*row) for row in await db.execute(query)]


@pytest.fixture
async def load(
    *,
    subject: Subject,
    app: SandboxClientApp,
    connector: Connector,
    attempt: tuple[str, Connected] | Unwritten,
    walks: Walks,
    tmp_path: Path,
) -> AsyncIterator[Load]:
    if isinstance(attempt, Unwritten) or any(
        isinstance(walk, Unwritten) for (slug, _), walk in walks.items() if slug == subject.slug
    ):
        pytest.skip("waits for test_a_walk_comes_to_its_end")
    default = (await app.control("GET", "/accounts"))["items"][0]
    counts = {resource: min(count, MOST_ROWS) for resource, count in default["counts"].items()}
    account = (
        await app.control("POST", "/accounts", {"name": "Parts", "seed": 5, "counts": counts})
    )["account_id"]
    token = (await app.connect(account)).access_token
    call = SandboxCall(subject, app.http, app.runtime.api_url, token)
    obstructed = Obstructed(subject, connector, call)
    provider = subject.provider()
    resources = tuple(one.slug for one in provider.resources)
    fetcher = Fetcher(
        tmp_path,
        dict.fromkeys(resources, 0),
        provider=provider,
        connectors={"orchard": cast("Connector", obstructed)},
    )
    await fetcher.boot()
    fetcher.lose_patience()
    await fetcher.connect(1, resources=resources)
    await fetcher.run_until_over()
    yield Load(app, account, fetcher, obstructed, resources)
    await fetcher.database.close()


async def test_what_has_not_changed_is_not_sent_again(subject: Subject, load: Load) -> None:
    """Links to files are signed anew for each answer, and yet no item is another one for it."""
    before = len(load.fetcher.log.messages)
    await load.again("unchanged")
    sent = [one for one in load.fetcher.log.messages[before:] if one.topic == ITEMS]
    if sent:
        keys = ", ".join([str(one.key, "utf-8") for one in sent[:3]])
        raise Unwritten(
            f"{subject.at('mapping.py')}: {len(sent)} items that have not changed are sent again "
            f"({keys}). Leave what differs with each answer out of Record.content."
        )


async def test_odd_values_beside_the_content_cost_no_object(
    subject: Subject, sandbox: SandboxModule, load: Load
) -> None:
    if not isinstance(sandbox.SIMULATED, OddValues):
        # A sandbox may do without them, and then there is nothing to check.
        return
    for resource in load.resources:
        body = {"resource": resource, "odd": 2}
        await load.app.control("POST", f"/accounts/{load.account}/mutate", body)
    told = await load.again("odd")
    for resource in load.resources:
        found = set(load.fetcher.log.live_items()[resource])
        lost = await load.app.readable(load.account, resource) - found
        receipt = told[resource].receipt
        if lost or told[resource].state != "done" or not receipt or not receipt.odd_fields:
            raise Unwritten(
                f"{subject.at('mapping.py')}: two of the {resource} have odd values beside their "
                f"content, and {len(lost)} are lost; the load ends as {told[resource].state} and "
                f"counts {receipt.odd_fields if receipt else None}. Make such a value null, and "
                "name its field in Record.odd."
            )


async def test_a_part_that_cannot_be_read_leaves_all_else_right(
    subject: Subject, load: Load
) -> None:
    victims = list(await load.walked())
    for number, (answer, response) in enumerate(ANSWERS.items()):
        victim = victims[number * len(victims) // len(ANSWERS)]
        load.connector.victim, load.connector.answer = victim, response
        gone = await _deleted_elsewhere(load, victim)
        told = (await load.again(answer))[victim[0]]
        ended = told.receipt.parts if told.receipt else None
        named = {one.part: one for one in ended.named} if ended else {}
        if told.state == "done" or victim[1] not in named or not named[victim[1]].remedy:
            raise Unwritten(
                f"{subject.at('connector.py')}: when the part {victim[1]} of {victim[0]} is "
                f"answered with {answer}, its load ends as {told.state} and names "
                f"{', '.join(named) or 'no part'}. Raise what `call` raises, and let problem() say "
                "what to do about it."
            )
        for resource in load.resources:
            wanted = await load.app.readable(load.account, resource)
            found = set(load.fetcher.log.live_items()[resource])
            if found != wanted:
                raise Unwritten(
                    f"{subject.at('connector.py')}: while the part {victim[1]} of {victim[0]} is "
                    f"answered with {answer}, and {gone.id if gone else 'nothing'} was deleted, "
                    f"{len(wanted - found)} {resource} are lost and {len(found - wanted)} that "
                    "are gone stay. Let read() tell what is gone from what is refused."
                )


async def _deleted_elsewhere(load: Load, victim: tuple[str, str]) -> Owned | None:
    """Delete an object that is read without the part, and return it; None if there is none.

    Resources are tried from the last one, as what comes later is seldom the parent of anything.
    """
    items, cut_off = await load.items(), {victim}
    walked = await load.walked()
    for _ in walked:
        cut_off |= {one for one, named_by in walked.items() if (one[0], named_by) in cut_off}
    for resource in reversed(load.resources):
        for one in sorted(items):
            beside = [other for other in items if other[:2] == one[:2]]
            if one.resource == resource and one[:2] not in cut_off and len(beside) > 1:
                body = {"resource": resource, "archive": [one.id]}
                await load.app.control("POST", f"/accounts/{load.account}/mutate", body)
                return one
    return None

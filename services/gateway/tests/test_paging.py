"""A page token belongs to its listing, its filters and its organisation, in every listing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio

from services.gateway.app import bare_app
from services.gateway.http.openapi import operations_of
from services.gateway.security.permissions import required_permission
from services.gateway.tests.locked import OTHER, OWN, Locked, bearer, running_locked
from shared.contracts.topics import SYNCS
from shared.kafka import ConsumedRecord
from shared.kafka.dead_letters import DeadLetters
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGING = {"page_size", "page_token"}
FILTERS = {
    one.path: sorted(one.parameters.keys() - PAGING)
    for one in operations_of(bare_app(), required_permission)
    if "page_token" in one.parameters
}
"""Every paged listing, and the filters that its route declares."""
VALUES = {
    "org_id": OWN,
    "user_id": "demo",
    "provider": "notion",
    "resource": "pages",
    "q": "p",
    "synced_since": "2026-01-31T09:30:00Z",
    "topic": SYNCS,
    "service": "fetcher",
}
"""Filter → a value that a listing takes; that of ``connection_id`` is the connection's own."""


@dataclass
class Listed:
    """A gateway on which each listing has more than one page of one entry."""

    locked: Locked
    own: str
    other: str

    async def get(self, path: str, *, key: str | None = None, **params: str) -> httpx.Response:
        return await self.locked.gateway.http.get(
            path, params={"page_size": "1", **params}, headers=bearer(key or self.own)
        )

    async def token(self, path: str, **params: str) -> str:
        """Return the token of the second page, once there is one."""

        async def asked() -> list[str]:
            token = (await self.get(path, **params)).json()["next_page_token"]
            return [token] if token else []

        found: list[str] = await until(asked)
        return found[0]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def listed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Listed]:
    async with running_locked(tmp_path_factory.mktemp("gateway")) as locked:
        own, other = await locked.key("admin"), await locked.key("admin", org=OTHER)
        await connect_another(locked, own)
        letters = DeadLetters(locked.gateway.producer, service="fetcher")
        for n in range(2):
            headers = (("ce_type", b"tributary.Odd"), ("org_id", OWN.encode()))
            letter = ConsumedRecord(SYNCS, 0, n, f"k{n}".encode(), b"{", headers)
            await letters.publish(letter, ValueError("cannot"), attempts=3)
        yield Listed(locked, own, other)


async def connect_another(locked: Locked, key: str) -> None:
    """Connect a second account: the first one has two items."""
    asked = {"provider": "notion", "user_id": "demo"}
    started = await locked.gateway.http.post("/v1/connect", json=asked, headers=bearer(key))
    back = await locked.gateway.come_back(started.json()["flow_id"], "notion", code="another")
    assert back.status_code == 200, back.text


def refused(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json().get("code")) == (400, "bad_token")


async def test_every_paged_listing_and_every_filter_is_tried() -> None:
    assert len(FILTERS) >= 4
    lacking = {name for names in FILTERS.values() for name in names} - {*VALUES, "connection_id"}
    assert not lacking, f"give {sorted(lacking)} a value in VALUES"


@pytest.mark.parametrize("path", FILTERS)
async def test_a_page_token_leads_on_with_the_same_filters(listed: Listed, path: str) -> None:
    second = await listed.get(path, page_token=await listed.token(path))
    assert second.status_code == 200, second.text


@pytest.mark.parametrize(
    ("path", "name"), [(path, name) for path, names in FILTERS.items() for name in names]
)
async def test_a_page_token_is_refused_with_a_filter_that_it_was_not_given_for(
    listed: Listed, path: str, name: str
) -> None:
    value = {**VALUES, "connection_id": listed.locked.own.id}[name]
    assert (await listed.get(path, **{name: value})).status_code == 200
    answer = await listed.get(path, **{name: value}, page_token=await listed.token(path))
    assert refused(answer), f"put {name} into the PageTokens of {path}: {answer.text}"


@pytest.mark.parametrize("path", FILTERS)
async def test_a_page_token_is_refused_in_every_other_listing(listed: Listed, path: str) -> None:
    token = await listed.token(path)
    for elsewhere in FILTERS.keys() - {path}:
        assert refused(await listed.get(elsewhere, page_token=token)), elsewhere


@pytest.mark.parametrize("path", FILTERS)
async def test_a_page_token_is_refused_for_another_organisation(listed: Listed, path: str) -> None:
    assert refused(await listed.get(path, key=listed.other, page_token=await listed.token(path)))

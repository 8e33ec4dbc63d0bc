"""Empty pages are put into the lists of every simulated provider, and no walk loses anything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar

from deploy.sandbox.providers import load_sandboxes
from deploy.sandbox.server.faults import Fault, Faults
from deploy.sandbox.server.provider_sandbox import ProviderSandbox, controlled
from deploy.sandbox.server.routing import by_slug
from deploy.sandbox.world import Clock, SandboxClient, Store, Token, World
from tests.support.serving import served
from tests.support.waiting import PATIENCE_S

TOKEN = "token-of-the-test"
NOTION = {"Notion-Version": "2025-09-03"}
COUNTS = {
    "hubspot": {"contacts": 7},
    "notion": {"pages": 7, "users": 5},
    "airtable": {"bases": 1, "tables": 1, "records": 7},
}
CALLS = [
    ("hubspot", "GET", "/crm/objects/2026-03/contacts", {"limit": 3, "properties": "a,b"}),
    ("hubspot", "POST", "/crm/objects/2026-03/contacts/search", {"limit": 3}),
    ("notion", "GET", "/v1/users", {"page_size": 2}),
    ("notion", "POST", "/v1/search", {"page_size": 3}),
    ("airtable", "GET", "/v0/{table}", {"pageSize": 3}),
    ("airtable", "POST", "/v0/{table}/listRecords", {"pageSize": 3}),
]
CURSORS: dict[str, tuple[str, Callable[[dict[str, Any]], str | None]]] = {
    "hubspot": ("after", lambda page: page.get("paging", {}).get("next", {}).get("after")),
    "notion": ("start_cursor", lambda page: page["next_cursor"]),
    "airtable": ("offset", lambda page: page.get("offset")),
}


@contextmanager
def opened(folder: Path, slug: str) -> Iterator[ProviderSandbox]:
    client = SandboxClient(id="app", secret="secret", redirect_uris=("http://localhost/callback",))
    module = load_sandboxes()[slug]
    with closing(Store(folder / "sandbox.db")) as store:
        clock = Clock(store)
        yield ProviderSandbox(World(module.SIMULATED, store, clock, client), Faults(clock))


@asynccontextmanager
async def calling(sandbox: ProviderSandbox) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client with a token for a new account, which has few rows."""
    world = sandbox.world
    world.limiter.off = True
    account = world.add_account("Few", 3, COUNTS[sandbox.slug])
    scopes = ("crm.objects.contacts.read", "data.records:read")
    world.tokens[TOKEN] = Token(
        kind="access",
        account=account.id,
        client_id=world.client.id,
        grant="one",
        scopes=scopes,
        expires=world.clock.now() + 3600,
        issued=world.clock.now(),
    )
    app = Litestar([*load_sandboxes()[sandbox.slug].routes(world)], openapi_config=None)
    headers = {"Authorization": f"Bearer {TOKEN}", **NOTION}
    whole = by_slug({sandbox.slug: controlled(sandbox, app)}, app)
    async with (
        served(lambda _: whole) as url,
        httpx.AsyncClient(
            base_url=f"{url}/{sandbox.slug}", headers=headers, timeout=PATIENCE_S
        ) as client,
    ):
        yield client


async def walked(
    client: httpx.AsyncClient, slug: str, method: str, path: str, asked: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return the pages of a list."""
    name, next_of = CURSORS[slug]
    pages: list[dict[str, Any]] = []
    cursor = None
    while not pages or cursor is not None:
        given = asked if cursor is None else {**asked, name: cursor}
        sent: dict[str, Any] = {"params": given} if method == "GET" else {"json": given}
        answer = await client.request(method, path, **sent)
        assert answer.status_code == 200, answer.text
        pages.append(answer.json())
        cursor = next_of(pages[-1])
    return pages


def ids(page: dict[str, Any]) -> list[str]:
    return [entry["id"] for name in ("results", "records") for entry in page.get(name, [])]


@pytest.mark.parametrize(("slug", "method", "path", "asked"), CALLS)
async def test_empty_pages_have_new_cursors_and_the_real_ones_follow(
    tmp_path: Path, slug: str, method: str, path: str, asked: dict[str, Any]
) -> None:
    with opened(tmp_path, slug) as sandbox:
        async with calling(sandbox) as client:
            (account,) = [one for one in sandbox.world.accounts.values() if one.name == "Few"]
            tables = sandbox.world.all_rows(account.id).get("tables", {})
            here = path.format(table=next(iter(tables), ""))
            plain = await walked(client, slug, method, here, asked)
            sandbox.faults.order([Fault(empty=True, times=1), Fault(after=1, empty=True, times=3)])
            lied = await walked(client, slug, method, here, asked)
    assert len(lied) == len(plain) + 4
    assert [ids(page) for page in lied if ids(page)] == [ids(page) for page in plain if ids(page)]
    cursors = [CURSORS[slug][1](page) for page in lied]
    assert len(set(cursors)) == len(cursors)


async def test_the_link_of_an_empty_page_and_of_a_real_one_repeat_the_whole_query(
    tmp_path: Path,
) -> None:
    path = "/crm/objects/2026-03/contacts?limit=3&properties=phone%2Ccity&archived=false"
    with opened(tmp_path, "hubspot") as sandbox:
        async with calling(sandbox) as client:
            sandbox.faults.order([Fault(empty=True, times=1)])
            empty = (await client.get(path)).json()
            first = (await client.get(empty["paging"]["next"]["link"])).json()
            second = (await client.get(first["paging"]["next"]["link"])).json()
            plain = (await client.get(path)).json()
    assert (ids(empty), len(ids(first)), len(ids(second))) == ([], 3, 3)
    assert first == plain
    assert second["results"][0]["properties"].keys() >= {"phone", "city"}

"""A program connects accounts, loads them and reads them over /v1, and over Kafka as well."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import pytest

from tests.e2e.topics import CONNECTIONS, ITEMS, group_of_two, last_values, live_keys, records
from tests.support.client import RESOURCES
from tests.support.product import Product, product

pytestmark = pytest.mark.e2e
ALLOWED = "http://localhost:3000"
COUNTS = {
    "hubspot": {"companies": 130, "contacts": 210, "deals": 40},
    "notion": {"pages": 120, "data_sources": 3, "users": 4},
    "airtable": {"bases": 2, "tables": 4, "records": 230},
}
LEFT_OUT = {
    "companies": ["hs_was_imported"],
    "contacts": ["hs_was_imported"],
    "deals": ["hs_date_entered_closedwon", "hs_date_entered_qualifiedtobuy", "hs_was_imported"],
}
"""Fields that the product does not ask for, in an account with few of them."""
SMALL = {"hubspot": {"companies": 12, "contacts": 20, "deals": 5}}
LONG = {"bases": 1, "tables": 2, "records": 1600}
"""About 20 calls to one base, which takes five a second."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product(tmp_path_factory.mktemp("api")) as one:
        for provider in RESOURCES:
            one.unlimited(provider)
        yield one


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    """Return a user for this test alone."""
    return str(request.node.name)[:200]


class Event(NamedTuple):
    kind: str
    id: int
    data: dict[str, Any]


@contextmanager
def events(running: Product, sync: str, *, after: int | None = None) -> Iterator[Iterator[Event]]:
    headers = {} if after is None else {"last-event-id": str(after)}
    with running.http.stream(
        "GET", f"{running.url}/v1/syncs/{sync}/events", headers=headers
    ) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _parsed(answer)


def _parsed(answer: httpx.Response) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if line and name:
            fields[name] = value
        elif not line and "data" in fields:
            yield Event(fields["event"], int(fields["id"]), json.loads(fields["data"]))
            fields = {}


def refused(
    running: Product, method: str, path: str, status: int, **options: Any
) -> dict[str, Any]:
    answer = running.http.request(method, running.url + path, **options)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert len(problem["detail"].split()) > 1
    assert problem["code"]
    return problem


@pytest.mark.parametrize("provider", RESOURCES)
def test_a_program_connects_follows_the_load_and_reads_what_really_exists(
    running: Product, provider: str, user: str
) -> None:
    account = running.account(provider, COUNTS[provider], name="Orchard")
    connection = running.connect(provider, account=account, user=user)
    assert connection["status"] == "active"
    assert tuple(connection["resources"]) == RESOURCES[provider]
    with events(running, connection["sync_id"]) as stream:
        seen = list(stream)
    assert [one.kind for one in seen[-1:]] == ["done"]
    assert {one.kind for one in seen[:-1]} == {"progress"}
    assert [one.id for one in seen] == sorted(one.id for one in seen)
    done = seen[-1].data
    assert (done["id"], done["state"]) == (connection["sync_id"], "done")
    for state in done["resources"]:
        ledger = running.ledger(provider, account, state["resource"])
        assert (state["state"], state["items"]) == ("done", len(ledger))
        assert state["expected"] == (len(ledger) if provider == "hubspot" else None)
        assert state["receipt"]["left_out"] == LEFT_OUT.get(state["resource"])
    assert running.differences(provider, account, connection["id"]) == {}
    total = sum(
        len(running.ledger(provider, account, resource)) for resource in RESOURCES[provider]
    )
    assert running.api("GET", f"/v1/connections/{connection['id']}")["items"] == total
    check_items(running, connection)


def check_items(running: Product, connection: dict[str, Any]) -> None:
    """Check what every item carries; each is found by its id, even one with slashes."""
    for item in itertools.islice(running.items(connection["id"]), 0, None, 40):
        assert item["connection_id"] == connection["id"]
        assert item["provider"] == connection["provider"]
        assert item["name"]
        assert item["raw"]
        path = f"/v1/items/{connection['id']}/{item['resource']}/{item['id']}"
        assert running.api("GET", path) == {**item, "stale": None}


def test_a_reader_of_progress_that_was_cut_off_goes_on_where_it_was(
    running: Product, user: str
) -> None:
    account = running.account("airtable", LONG, name="Long")
    connection = running.connect("airtable", account=account, user=user)
    heard: list[Event] = []
    ended = False
    while not ended:
        after = heard[-1].id if heard else None
        with events(running, connection["sync_id"], after=after) as stream:
            some = list(itertools.islice(stream, 3))
        assert all(one.id > after for one in some if after is not None and one.kind == "progress")
        heard += some
        ended = some[-1].kind == "done"
    assert len(heard) > 6, "it was cut off at least twice"
    read = [
        one.data["items"]
        for one in heard
        if one.kind == "progress" and one.data["resource"] == "records"
    ]
    assert read == sorted(read)
    assert read[-1] == LONG["records"]
    assert heard[-1].data["state"] == "done"
    assert running.differences("airtable", account, connection["id"]) == {}
    with events(running, connection["sync_id"], after=heard[-1].id) as stream:
        assert [one.kind for one in stream] == ["done"]


def test_paging_loses_and_doubles_nothing_while_a_load_changes_the_items(
    running: Product, user: str
) -> None:
    account = running.account("hubspot", COUNTS["hubspot"], name="Moving")
    connection = running.connect("hubspot", account=account, user=user)["id"]
    running.synced(running.api("GET", f"/v1/connections/{connection}")["sync_id"])
    before = {item["id"] for item in running.items(connection, "contacts")}
    changed = running.control(
        "POST",
        f"hubspot/accounts/{account}/mutate",
        json={"resource": "contacts", "create": 60, "update": 40, "archive": 30},
    )
    sync = running.api("POST", f"/v1/connections/{connection}/syncs", json={})
    seen: list[str] = []
    params = {"connection_id": connection, "resource": "contacts", "page_size": "5"}
    while True:
        page = running.api("GET", "/v1/items", params=params)
        seen += [item["id"] for item in page["items"]]
        if page["next_page_token"] is None:
            break
        params["page_token"] = page["next_page_token"]
    assert len(seen) == len(set(seen))
    assert before - set(changed["archived"]) <= set(seen)
    assert set(seen) <= before | set(changed["created"])
    assert running.synced(sync["id"])["state"] == "done"
    assert running.differences("hubspot", account, connection) == {}


def test_a_page_token_is_good_only_as_it_was_given_and_for_its_filters(
    running: Product, user: str
) -> None:
    account = running.account("hubspot", SMALL["hubspot"], name="Tokens")
    connection = running.connect("hubspot", account=account, user=user)
    running.synced(connection["sync_id"])
    query = {"connection_id": connection["id"], "resource": "contacts", "page_size": "10"}
    token = running.api("GET", "/v1/items", params=query)["next_page_token"]
    middle = len(token) // 2
    altered = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    for wrong in (altered, token[:-2], "x", "", token + "A"):
        refused(running, "GET", "/v1/items", 400, params=query | {"page_token": wrong})
    refused(
        running,
        "GET",
        "/v1/items",
        400,
        params=query | {"page_token": token, "resource": "companies"},
    )
    refused(running, "GET", "/v1/items", 400, params=query | {"page_token": token, "q": "a"})
    assert (
        running.api("GET", "/v1/items", params=query | {"page_token": token})["next_page_token"]
        is None
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/items?page_size=0", 400),
        ("GET", "/v1/items?page_size=201", 400),
        ("GET", "/v1/items?page_size=1e9", 400),
        ("GET", "/v1/items?limit=10", 400),
        ("GET", "/v1/items?resource=sonnets", 400),
        ("GET", "/v1/items?connection_id=unknown", 404),
        ("GET", "/v1/items/unknown/contacts/1", 404),
        ("GET", "/v1/connections/unknown", 404),
        ("DELETE", "/v1/connections/unknown", 404),
        ("POST", "/v1/connections/unknown/syncs", 404),
        ("GET", "/v1/syncs/unknown", 404),
        ("GET", "/v1/syncs/unknown/events", 404),
        ("GET", "/v1/connect/unknown", 404),
        ("GET", "/v1/nothing", 404),
        ("PUT", "/v1/items", 405),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(
    running: Product, method: str, path: str, status: int
) -> None:
    refused(running, method, path, status)


def test_a_sync_of_a_mode_or_resource_that_does_not_exist_is_refused(
    running: Product, user: str
) -> None:
    account = running.account("hubspot", SMALL["hubspot"], name="Modes")
    path = f"/v1/connections/{running.connect('hubspot', account=account, user=user)['id']}/syncs"
    assert (
        "incremental" in refused(running, "POST", path, 400, json={"mode": "incremental"})["detail"]
    )
    refused(running, "POST", path, 400, json={"resources": ["sonnets"]})
    refused(running, "POST", path, 400, json={"color": "red"})
    refused(
        running,
        "POST",
        path,
        400,
        content=b"[" * 100_000,
        headers={"content-type": "application/json"},
    )
    answer = running.http.post(running.url + path, json={"mode": "full", "resources": ["deals"]})
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/syncs/{answer.json()['id']}"
    ended = running.synced(answer.json()["id"])
    assert [(one["resource"], one["state"]) for one in ended["resources"]] == [("deals", "done")]


async def test_consenting_again_keeps_the_connection_and_another_account_is_another_one(
    running: Product, user: str
) -> None:
    first, second = (
        running.account("hubspot", SMALL["hubspot"], name=name) for name in ("First", "Second")
    )
    one = running.connect("hubspot", account=first, user=user)
    running.synced(one["sync_id"])
    again = running.connect("hubspot", account=first, user=user)
    assert (again["id"], again["status"]) == (one["id"], "active")
    assert again["sync_id"] != one["sync_id"]
    other = running.connect("hubspot", account=second, user=user)
    assert other["id"] != one["id"]
    somebody = running.connect("hubspot", account=first, user=f"not {user}")
    assert somebody["id"] not in {one["id"], other["id"]}
    listed = running.api("GET", "/v1/connections", params={"user_id": user})["connections"]
    assert [found["id"] for found in listed] == [one["id"], other["id"]]
    for found in listed:
        assert running.synced(found["sync_id"])["state"] == "done"
    assert running.differences("hubspot", first, one["id"]) == {}
    assert running.differences("hubspot", second, other["id"]) == {}
    told = [
        record for record in await records(running, CONNECTIONS) if record.key.decode() == one["id"]
    ]
    kinds = [dict(record.headers)["ce_type"].decode().rpartition(".")[2] for record in told]
    assert kinds == ["Connected", "Recovered"]


async def test_disconnecting_purges_everywhere_and_reconnecting_brings_the_same_connection_back(
    running: Product, user: str
) -> None:
    account = running.account("hubspot", SMALL["hubspot"], name="Purged")
    connection = running.connect("hubspot", account=account, user=user)
    running.synced(connection["sync_id"])
    id_ = connection["id"]
    item = next(running.items(id_))
    total = sum(SMALL["hubspot"].values())
    assert len(await alive(running, id_)) == total

    assert running.api("DELETE", f"/v1/connections/{id_}")["status"] == "disconnected"
    assert list(running.items(id_)) == []
    refused(running, "GET", f"/v1/items/{id_}/{item['resource']}/{item['id']}", 404)
    assert running.api("GET", "/v1/connections", params={"user_id": user})["connections"] == []
    assert running.api("GET", f"/v1/connections/{id_}")["status"] == "disconnected"
    refused(running, "POST", f"/v1/connections/{id_}/syncs", 409, json={})
    assert running.api("DELETE", f"/v1/connections/{id_}")["status"] == "disconnected"
    await purged(running, id_)
    snapshot = await last_snapshot(running, id_)
    assert snapshot["status"] == "disconnected"

    back = running.connect("hubspot", account=account, user=user)
    assert (back["id"], back["status"]) == (id_, "active")
    assert running.synced(back["sync_id"])["state"] == "done"
    assert running.differences("hubspot", account, id_) == {}
    returned = await last_snapshot(running, id_)
    assert returned["generation"] == snapshot["generation"] + 1
    assert len(await alive(running, id_)) == total


async def purged(running: Product, connection: str) -> None:
    async with asyncio.timeout(30):
        while await alive(running, connection):
            pass


async def last_snapshot(running: Product, connection: str) -> Any:
    return json.loads((await last_values(running, CONNECTIONS))[connection] or b"null")


async def alive(running: Product, connection: str) -> list[str]:
    """Return the keys of the connection's items whose last value is not null."""
    return [
        key
        for key, value in (await last_values(running, ITEMS)).items()
        if key.startswith(f"{connection}/") and value
    ]


def test_a_declined_consent_is_a_failed_flow_with_a_code_for_programs(
    running: Product, user: str
) -> None:
    for provider in RESOURCES:
        asked = {"provider": provider, "org_id": "demo", "user_id": user}
        flow = running.api("POST", "/v1/connect", json=asked)
        assert running.api("GET", f"/v1/connect/{flow['flow_id']}") == {"status": "pending"}
        page = running.consent(flow["authorize_url"], decision="deny")
        assert page.status_code == 400
        ended = running.api("GET", f"/v1/connect/{flow['flow_id']}")
        assert (ended["status"], ended["error"]["code"]) == ("failed", "access_denied")
        assert "connection_id" not in ended
        assert "declined" in ended["error"]["detail"]
    assert running.api("GET", "/v1/connections", params={"user_id": user})["connections"] == []


@pytest.mark.parametrize("decision", ["allow", "deny"])
@pytest.mark.parametrize("return_url", ["/?tab=items", f"{ALLOWED}/done?step=2"])
def test_a_return_url_receives_the_flows_id_and_nothing_else(
    running: Product, user: str, return_url: str, decision: str
) -> None:
    account = running.account("hubspot", SMALL["hubspot"], name="Returning")
    asked = {"provider": "hubspot", "org_id": "demo", "user_id": user, "return_url": return_url}
    flow = running.api("POST", "/v1/connect", json=asked)
    back = running.consent(flow["authorize_url"], account=account, decision=decision)
    expected = f"{return_url}&flow_id={flow['flow_id']}"
    if decision == "allow":
        assert (back.status_code, back.headers["location"]) == (303, expected)
        assert back.text in {"", "null"}
    else:
        assert back.status_code == 400
        assert f'href="{expected.replace("&", "&amp;")}"' in back.text


@pytest.mark.parametrize(
    "url", ["//evil.example", "https://evil.example/", "http://localhost:3000.evil.example/"]
)
def test_a_return_url_elsewhere_is_refused(running: Product, user: str, url: str) -> None:
    asked = {"provider": "hubspot", "org_id": "demo", "user_id": user, "return_url": url}
    assert refused(running, "POST", "/v1/connect", 400, json=asked)["code"] == "bad_return_url"


def test_a_group_of_two_outside_consumers_finds_as_many_live_keys_as_there_are_items(
    running: Product, user: str
) -> None:
    account = running.account("airtable", COUNTS["airtable"], name="Followed")
    running.synced(running.connect("airtable", account=account, user=user)["sync_id"])
    connections = running.api("GET", "/v1/connections")["connections"]
    for connection in connections:
        running.synced(connection["sync_id"])
    with group_of_two(running) as members:
        live = live_keys(members)
    items = [item for connection in connections for item in running.items(connection["id"])]
    assert len(live) == len(items)
    assert live == {f"{item['connection_id']}/{item['resource']}/{item['id']}" for item in items}

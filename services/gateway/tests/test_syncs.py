from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from services.gateway.tests.serving import ALLOWED, Gateway, read_topic
from shared.contracts import syncs as sync_events
from shared.contracts.connections import Connection
from shared.contracts.envelope import decode
from shared.contracts.progress import FINAL
from shared.contracts.syncs import RetrySync
from shared.contracts.topics import SYNCS
from tests.support.waiting import PATIENCE_S, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Event(msgspec.Struct, frozen=True):
    kind: str
    id: int
    data: Any


async def requested(api: Gateway, connection: str, count: int) -> list[Any]:
    records = await read_topic(api.settings.kafka.bootstrap, SYNCS, key=connection, count=count)
    return [decode(record.value, record.headers, sync_events.KINDS)[1] for record in records]


async def test_a_sync_is_kept_answered_and_asked_for_on_the_topic(api: Gateway) -> None:
    connection = await api.connect("hubspot", user="asks")
    path = f"/v1/connections/{connection.id}/syncs"
    whole = await api.http.post(path)
    part = await api.http.post(
        path, json={"mode": "full", "resources": ["deals", "contacts", "deals"]}
    )
    for answer in (whole, part):
        assert answer.status_code == 202
        assert answer.headers["location"] == f"/v1/syncs/{answer.json()['id']}"
        assert (await api.http.get(answer.headers["location"])).json() == answer.json()
        assert answer.json()["state"] == "queued"
    assert [one["resource"] for one in part.json()["resources"]] == ["contacts", "deals"]
    first, second = await requested(api, connection.id, 2)
    assert (first.sync_id, first.resources, first.mode) == (whole.json()["id"], None, "full")
    assert (second.sync_id, second.resources) == (part.json()["id"], ("contacts", "deals"))
    listed = (await api.http.get(f"/v1/connections/{connection.id}")).json()
    assert listed["sync_id"] == part.json()["id"]


RECEIPT: dict[str, Any] = {
    "parts": {
        "total": 2,
        "by_outcome": {"done": 1, "failed": 1},
        "named": [
            {
                "part": "app1/tbl%1",
                "name": "table “Plums”",
                "outcome": "failed",
                "code": "forbidden",
                "detail": "It was refused.",
                "remedy": "Share it.",
            }
        ],
    },
    "unconfirmed": 120,
    "held": [{"part": "app1/tbl2", "name": "table “Pears”", "items": 120}],
}


DONE: dict[str, Any] = {"state": "done", "ended_at": "2026-01-30T09:30:00.000Z"}
REFUSED: dict[str, Any] = {
    "state": "incomplete",
    "ended_at": "2026-01-31T09:30:00.000Z",
    "error": {"code": "forbidden", "detail": "It was refused. Share it."},
    "receipt": RECEIPT,
}


async def synced(api: Gateway, connection: Connection, **ended: Any) -> str:
    """Return the id of a sync of the records that has ended in this way."""
    asked = await api.http.post(
        f"/v1/connections/{connection.id}/syncs", json={"resources": ["records"]}
    )
    id_: str = asked.json()["id"]
    await api.progress(id_, connection, "records", step=9, **ended)
    await api.until(f"/v1/syncs/{id_}", lambda sync: sync["state"] in FINAL)
    return id_


async def stale(api: Gateway, path: str) -> Any:
    return (await api.http.get(path)).json()["stale"]


async def test_what_a_sync_could_not_read_is_shown_as_stale(api: Gateway) -> None:
    connection = await api.connect("airtable", user="stale")
    await api.publish(connection, "records", [{"id": "r1"}])
    await api.publish(connection, "tables", [{"id": "t1"}])
    await synced(api, connection, **DONE)
    refused = await synced(api, connection, **REFUSED)
    (shown,) = await stale(api, f"/v1/connections/{connection.id}")
    assert shown == {
        "connection_id": connection.id,
        "resource": "records",
        "stale_since": DONE["ended_at"],
        **REFUSED["error"],
        "parts": RECEIPT["parts"]["named"],
    }
    assert await stale(api, f"/v1/syncs/{refused}") == [shown]
    assert await stale(api, f"/v1/items?connection_id={connection.id}") == [shown]
    assert await stale(api, f"/v1/items?connection_id={connection.id}&resource=tables") == []
    assert await stale(api, f"/v1/items/{connection.id}/records/r1") == shown
    assert await stale(api, f"/v1/items/{connection.id}/tables/t1") is None


async def test_a_sync_is_as_old_as_its_oldest_page(api: Gateway) -> None:
    connection = await api.connect("hubspot", user="as-of")
    asked = await api.http.post(f"/v1/connections/{connection.id}/syncs")
    path = f"/v1/syncs/{asked.json()['id']}"
    assert asked.json()["as_of"] is None
    for resource, began in (("deals", "09:30"), ("companies", "08:15"), ("contacts", "10:00")):
        receipt = {"as_of": f"2026-01-30T{began}:00.000Z"}
        await api.progress(
            asked.json()["id"], connection, resource, step=9, **DONE, receipt=receipt
        )
    sync = await api.until(path, lambda sync: sync["state"] in FINAL)
    assert sync["as_of"] == "2026-01-30T08:15:00.000Z"


async def test_nothing_is_stale_once_a_later_sync_has_read_it(api: Gateway) -> None:
    connection = await api.connect("airtable", user="healed")
    refused = await synced(api, connection, **REFUSED)
    (shown,) = await stale(api, f"/v1/connections/{connection.id}")
    assert shown["stale_since"] is None
    await synced(api, connection, **{**DONE, "ended_at": "2026-02-01T09:30:00.000Z"})
    assert await stale(api, f"/v1/connections/{connection.id}") == []
    assert await stale(api, f"/v1/syncs/{refused}") == []
    await synced(api, connection, **REFUSED)  # an end that is heard of late changes nothing
    assert await stale(api, f"/v1/connections/{connection.id}") == []


async def test_nothing_of_a_disconnected_account_is_stale(api: Gateway) -> None:
    connection = await api.connect("airtable", user="leaves")
    await synced(api, connection, **REFUSED)
    gone = msgspec.structs.replace(connection, status="disconnected", version=99)
    await api.tell("Disconnected", gone)
    shown = await api.until(
        f"/v1/connections/{connection.id}", lambda one: one["status"] == "disconnected"
    )
    assert shown["stale"] == []


async def test_a_job_that_ends_after_the_disconnect_makes_nothing_stale(api: Gateway) -> None:
    connection = await api.connect("airtable", user="leaves while it syncs")
    asked = await api.http.post(
        f"/v1/connections/{connection.id}/syncs", json={"resources": ["records"]}
    )
    id_ = asked.json()["id"]
    gone = msgspec.structs.replace(connection, status="disconnected", version=99)
    await api.tell("Disconnected", gone)
    path = f"/v1/connections/{connection.id}"
    await api.until(path, lambda one: one["status"] == "disconnected")
    await api.progress(id_, connection, "records", step=9, **REFUSED)
    await api.until(f"/v1/syncs/{id_}", lambda sync: sync["state"] in FINAL)
    assert await stale(api, path) == []


WAITING: dict[str, Any] = {
    "state": "waiting",
    "waiting_reason": "Notion is not available.",
    "waiting_until": "2099-01-01T00:05:00.000Z",
}


async def test_a_sync_that_waits_is_tried_now_unless_its_provider_asked_for_the_wait(
    api: Gateway,
) -> None:
    connection = await api.connect("notion", user="retries")
    id_ = connection.sync_id or ""
    idle = await api.http.post(f"/v1/syncs/{id_}/retry")
    assert (idle.status_code, idle.json()["code"]) == (409, "not_waiting")
    asked = {"asked_to_wait_until": "2099-01-01T00:00:00.000Z"}
    await api.progress(id_, connection, "pages", step=1, **WAITING, **asked)
    await api.until(f"/v1/syncs/{id_}", lambda sync: sync["state"] == "waiting")
    refused = await api.http.post(f"/v1/syncs/{id_}/retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "asked_to_wait")
    assert "has asked to wait until 2099-01-01T00:00:00.000Z" in refused.json()["detail"]
    past = {"asked_to_wait_until": "2001-01-01T00:00:00.000Z"}
    await api.progress(id_, connection, "users", step=1, **WAITING, **past)
    await api.until(
        f"/v1/syncs/{id_}", lambda sync: sync["resources"][2]["asked_to_wait_until"] is not None
    )
    accepted = await api.http.post(f"/v1/syncs/{id_}/retry")
    assert (accepted.status_code, accepted.json()["id"]) == (202, id_)
    orders = await requested(api, connection.id, 1)
    assert orders == [RetrySync(sync_id=id_, connection_id=connection.id)]
    unknown = await api.http.post("/v1/syncs/none/retry")
    assert unknown.status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"mode": "incremental"},
        {"mode": "delta"},
        {"mode": ""},
        {"mode": 1},
        {"resources": []},
        {"resources": ["contacts"]},
        {"resources": ["pages", "none"]},
        {"resources": "pages"},
        {"resources": [["pages"]]},
        {"since": "2026-01-01"},
    ],
)
async def test_what_cannot_be_loaded_is_refused(api: Gateway, body: dict[str, Any]) -> None:
    connection = await api.connect("notion", user="refused")
    answer = await api.http.post(f"/v1/connections/{connection.id}/syncs", json=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    if body == {"mode": "incremental"}:
        assert "does not exist yet" in answer.json()["detail"]


async def test_a_sync_tells_what_each_resource_does(api: Gateway) -> None:
    connection = await api.connect("notion", user="states")
    id_ = connection.sync_id or ""
    await api.progress(
        id_, connection, "pages", step=2, state="running", pages=2, items=150, expected=400
    )
    waiting = {
        "waiting_reason": "Notion asked to wait.",
        "waiting_until": "2099-01-01T00:00:00.000Z",
    }
    await api.progress(id_, connection, "users", step=3, state="waiting", **waiting)
    await api.progress(id_, connection, "users", step=1, state="running")
    shown = await api.until(
        f"/v1/syncs/{id_}", lambda sync: sync["resources"][2]["state"] == "waiting"
    )
    pages, sources, users = shown["resources"]
    assert (pages["state"], pages["pages"], pages["items"], pages["expected"]) == (
        "running",
        2,
        150,
        400,
    )
    assert (sources["state"], sources["expected"]) == ("queued", None)
    assert users == users | waiting
    assert shown["state"] == "running"


async def test_a_job_is_not_done_before_its_items_can_be_read(api: Gateway) -> None:
    connection = await api.connect("notion", user="ahead")
    id_ = connection.sync_id or ""
    at = await api.publish(connection, "pages", [{"id": "p1"}])
    ahead = {partition: offset + 1 for partition, offset in at.items()}
    for resource in ("data_sources", "users"):
        await api.progress(id_, connection, resource, step=1, state="done")
    await api.progress(id_, connection, "pages", step=1, state="done", item_positions=ahead)
    shown = await api.until(
        f"/v1/syncs/{id_}", lambda sync: sync["resources"][1]["state"] == "done"
    )
    assert shown["resources"][0]["state"] in {"queued", "running"}
    assert (shown["state"], shown["ended_at"]) == ("running", None)
    while await api.publish(connection, "pages", [{"id": "p1"}], version=2) != ahead:
        pass
    shown = await api.until(f"/v1/syncs/{id_}", lambda sync: sync["state"] == "done")
    assert shown["ended_at"]


def at(minute: int) -> dict[str, str]:
    return {
        "waiting_reason": f"Wait for {minute}.",
        "waiting_until": f"2099-01-01T00:{minute:02}:00.000Z",
    }


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ({}, {"state": "queued"}),
        ({"pages": {"state": "queued"}}, {"state": "queued"}),
        ({"pages": {"state": "running"}}, {"state": "queued"}),
        ({"pages": {"state": "running", "pages": 1}}, {"state": "running"}),
        ({"pages": {"state": "queued", "pages": 1}}, {"state": "running"}),
        ({"pages": {"state": "done"}}, {"state": "running"}),
        ({"pages": {"state": "waiting", **at(5)}}, {"state": "waiting", **at(5)}),
        (
            {
                "pages": {"state": "waiting", "pages": 3, **at(5)},
                "users": {"state": "waiting", **at(4)},
            },
            {"state": "waiting", **at(4)},
        ),
        (
            {"pages": {"state": "waiting", **at(5)}, "users": {"state": "done"}},
            {"state": "waiting", **at(5)},
        ),
        (
            {"pages": {"state": "waiting", **at(5)}, "users": {"state": "running", "pages": 1}},
            {"state": "running"},
        ),
    ],
)
async def test_a_sync_is_queued_waits_or_runs_as_its_resources_do(
    api: Gateway, jobs: dict[str, dict[str, Any]], expected: dict[str, str]
) -> None:
    connection = await api.connect("notion", user=f"states-{sorted(jobs.items())}"[:200])
    id_ = connection.sync_id or ""
    for resource, known in jobs.items():
        await api.progress(id_, connection, resource, step=1, **known)

    def heard(sync: dict[str, Any]) -> bool:
        shown = {one["resource"]: one for one in sync["resources"]}
        return all(shown[resource] == shown[resource] | known for resource, known in jobs.items())

    shown = await api.until(f"/v1/syncs/{id_}", heard)
    nothing = {"waiting_reason": None, "waiting_until": None, "ended_at": None}
    assert shown == shown | nothing | expected


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("done", "done", "done"), "done"),
        (("done", "failed", "done"), "incomplete"),
        (("done", "incomplete", "done"), "incomplete"),
        (("failed", "incomplete", "failed"), "incomplete"),
        (("failed", "failed", "failed"), "failed"),
    ],
)
async def test_a_sync_ends_as_its_resources_did(
    api: Gateway, states: tuple[str, ...], expected: str
) -> None:
    connection = await api.connect("notion", user="ends")
    for resource, state in zip(("pages", "data_sources", "users"), states, strict=True):
        await api.progress(connection.sync_id or "", connection, resource, step=1, state=state)
    shown = await api.until(f"/v1/syncs/{connection.sync_id}", lambda sync: sync["state"] in FINAL)
    assert shown["state"] == expected


@asynccontextmanager
async def stream(
    api: Gateway, sync: str, last: int | None = None
) -> AsyncIterator[AsyncIterator[Event]]:
    headers = {"origin": ALLOWED} | ({} if last is None else {"last-event-id": str(last)})
    async with api.http.stream("GET", f"/v1/syncs/{sync}/events", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["access-control-allow-origin"] == ALLOWED
        yield events(answer.aiter_lines())


async def events(lines: AsyncIterator[str]) -> AsyncIterator[Event]:
    known: dict[str, str] = {}
    async for line in lines:
        if line and not line.startswith((":", "retry:")):
            name, _, value = line.partition(": ")
            known[name] = value
        elif not line and known:
            yield Event(known["event"], int(known["id"]), msgspec.json.decode(known["data"]))
            known = {}


async def test_a_stream_shows_each_change_and_ends_when_all_can_be_read(api: Gateway) -> None:
    connection = await api.connect("notion", user="streams")
    id_ = connection.sync_id or ""
    async with stream(api, id_) as shown:
        await api.progress(id_, connection, "pages", step=1, state="running", items=100)
        first = await anext(shown)
        assert (first.kind, first.data["resource"], first.data["items"]) == (
            "progress",
            "pages",
            100,
        )
        await api.progress(id_, connection, "users", step=1, state="running")
        second = await anext(shown)
        assert second.data["resource"] == "users"
        await api.load(id_, connection, {"pages": [{"id": "p1"}]})
        rest = [event async for event in shown]
    assert rest[-1].kind == "done"
    assert rest[-1].data["state"] == "done"
    assert {one.data["resource"] for one in rest[:-1]} == {"pages", "data_sources", "users"}
    ids = [first.id, second.id, *(one.id for one in rest[:-1])]
    assert ids == sorted(set(ids))
    assert (
        len((await api.http.get(f"/v1/items?connection_id={connection.id}")).json()["items"]) == 1
    )


async def test_a_stream_resumes_behind_the_last_event_that_was_seen(api: Gateway) -> None:
    connection = await api.connect("notion", user="resumes")
    id_ = connection.sync_id or ""
    for resource in ("pages", "data_sources"):
        await api.progress(id_, connection, resource, step=1, state="running", items=5)
        await api.until(
            f"/v1/syncs/{id_}",
            lambda sync: "running" in {one["state"] for one in sync["resources"]},
        )
    async with stream(api, id_) as shown:
        seen = [await anext(shown), await anext(shown)]
    assert {one.data["resource"] for one in seen} == {"pages", "data_sources"}
    await api.progress(id_, connection, "users", step=1, state="running", items=7)
    async with stream(api, id_, last=seen[-1].id) as shown:
        missed = await anext(shown)
    assert (missed.data["resource"], missed.data["items"]) == ("users", 7)
    async with stream(api, id_, last=seen[0].id) as shown:
        assert [(await anext(shown)).id for _ in range(2)] == [seen[1].id, missed.id]


async def test_a_stream_of_a_sync_that_is_over_is_done_at_once(api: Gateway) -> None:
    connection = await api.connect("notion", user="over")
    await api.whole(connection, {})
    async with stream(api, connection.sync_id or "") as shown:
        seen = [one async for one in shown]
    assert [one.kind for one in seen] == ["progress", "progress", "progress", "done"]
    async with stream(api, connection.sync_id or "", last=seen[-1].id) as shown:
        assert [one.kind async for one in shown] == ["done"]


async def test_an_event_id_from_the_future_starts_the_stream_anew(api: Gateway) -> None:
    connection = await api.connect("notion", user="future")
    id_ = connection.sync_id or ""
    await api.progress(id_, connection, "pages", step=1, state="running", items=5)
    await api.until(f"/v1/syncs/{id_}", lambda sync: sync["resources"][0]["state"] == "running")
    async with asyncio.timeout(PATIENCE_S), stream(api, id_, last=10**9) as shown:
        assert (await anext(shown)).data["items"] == 5
        await api.progress(id_, connection, "pages", step=2, state="running", items=6)
        assert (await anext(shown)).data["items"] == 6


async def test_many_changes_are_sent_at_most_four_times_a_second(api: Gateway) -> None:
    connection = await api.connect("notion", user="busy")
    id_ = connection.sync_id or ""
    began = time.monotonic()
    async with stream(api, id_) as shown:
        for step in range(1, 300):
            await api.progress(id_, connection, "pages", step=step, state="running", items=step)
        seen = [await anext(shown)]
        while seen[-1].data["items"] < 299:
            seen.append(await anext(shown))
    most = 4 * (time.monotonic() - began) + 2
    assert len(seen) <= most


async def test_nothing_of_a_stream_is_left_when_its_reader_has_gone(api: Gateway) -> None:
    connection = await api.connect("notion", user="leaves")
    before = streams()
    for _ in range(5):
        async with stream(api, connection.sync_id or ""):
            pass
    await until(lambda: not streams() - before)


def streams() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if "EventStream" in str(task.get_coro())}


async def test_an_event_id_that_is_none_of_ours_is_refused(api: Gateway) -> None:
    connection = await api.connect("notion", user="odd")
    for odd in ("x", "-1", "1.5", "٣", "9" * 300):
        path = f"/v1/syncs/{connection.sync_id}/events"
        answer = await api.http.get(path, headers={b"last-event-id": odd.encode()})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_event_id")

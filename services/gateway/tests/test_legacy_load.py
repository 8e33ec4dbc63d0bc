"""Sync everything and wait for it, without a server or a broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from services.gateway.connections.views import list_connections
from services.gateway.context import AuthClient, GatewayContext, Watch
from services.gateway.legacy.load import (
    LONGEST_HEADER,
    Gap,
    Loaded,
    incomplete_header,
    load_everything,
    newest_connection,
)
from services.gateway.project import apply_connection, item_row, project_items
from services.gateway.security.callers import is_valid
from services.gateway.security.keys import create_key, revoke_key
from services.gateway.syncs import queries as syncs
from services.gateway.syncs.describe import describe_sync
from services.gateway.syncs.request import add_sync
from services.gateway.syncs.routes import EventStream
from services.gateway.tests.serving import PROVIDERS, SECRET, item, settings_for
from shared import clock
from shared.contracts.connections import Account, Connection
from shared.contracts.envelope import new_id, timestamp
from shared.contracts.progress import FINAL, JobError, JobProgress
from shared.contracts.topics import ITEMS
from shared.crypto import Signer
from shared.db import Database
from shared.errors import Conflict, Upstream
from shared.http import HttpClient
from shared.kafka import ConsumedRecord
from tests.support.waiting import turns

SLUGS = ("pages", "data_sources", "users")
ENDED = "2026-01-31T09:30:08.000Z"
ALL_DONE = dict.fromkeys(SLUGS, "done")


@pytest.fixture
async def context(tmp_path: Path) -> AsyncIterator[GatewayContext]:
    settings = settings_for(tmp_path, "localhost:1", "http://localhost:1", "http://localhost:8000")
    database = Database(settings.database)
    await database.migrate("services.gateway:migrations")
    http = HttpClient()
    yield GatewayContext(
        settings=settings,
        database=database,
        auth=AuthClient(http, url=settings.auth_url, secret=SECRET),
        watch=Watch(),
        log_ids={ITEMS: "log"},
        page_tokens=Signer(SECRET),
        handles=Signer(SECRET, purpose="handle"),
        served=lambda _: True,
    )
    await http.aclose()
    await database.close()


@pytest.fixture
async def connection(context: GatewayContext) -> Connection:
    made = Connection(
        id=new_id(),
        version=1,
        generation=1,
        org_id="demo",
        user_id="demo",
        provider="notion",
        client_id="client",
        account=Account(id="a"),
        status="active",
        resources=SLUGS,
        token_version=1,
        sync_id=new_id(),
        created_at=timestamp(),
        updated_at=timestamp(),
    )
    async with context.database.write() as db:
        await apply_connection(db, made, provider=PROVIDERS["notion"])
    return made


async def tell(context: GatewayContext, sync: str, connection: Connection, **states: Any) -> None:
    """Report the progress of some resources: a state, or the error that they failed with."""
    bodies = []
    for resource, state in states.items():
        failed = isinstance(state, JobError)
        progress = JobProgress(
            sync_id=sync,
            job_id=f"{sync}-{resource}",
            step=1,
            connection_id=connection.id,
            resource=resource,
            items=3,
            state="failed" if failed else state,
            error=state if failed else None,
            ended_at=ENDED if failed or state in FINAL else None,
        )
        bodies.append(progress)
    async with context.database.write() as db:
        await syncs.save_progress(db, bodies)
        await syncs.settle(db, log_id=context.log_ids[ITEMS])
    context.watch.changed()


async def count_syncs(context: GatewayContext, connection: Connection) -> int:
    async with context.database.read() as db:
        return len(await syncs.newest(db, connection.id, limit=10))


async def test_it_joins_the_load_that_runs_and_waits_for_the_end(
    context: GatewayContext, connection: Connection
) -> None:
    both = [asyncio.create_task(load_everything(connection, context=context)) for _ in range(2)]
    await tell(context, connection.sync_id or "", connection, pages="done", users="done")
    assert not any(one.done() for one in both)
    async with context.database.write() as db:
        message = item(connection, "pages", id="p1", name="Plan")
        record = ConsumedRecord(message.topic, 0, 0, message.key, message.value, message.headers)
        await project_items(db, [item_row(record)])
    await tell(context, connection.sync_id or "", connection, data_sources="done")
    for one in both:
        loaded = await one
        assert ([row.name for row in loaded.rows], loaded.gaps) == (["page Plan"], ())
    assert await count_syncs(context, connection) == 1


async def test_a_result_is_given_again_for_half_a_minute_and_then_loaded_anew(
    context: GatewayContext, connection: Connection
) -> None:
    await tell(
        context,
        connection.sync_id or "",
        connection,
        pages="done",
        users="done",
        data_sources="done",
    )
    assert await load_everything(connection, context=context) == Loaded(rows=[], gaps=())
    assert await count_syncs(context, connection) == 1
    later = await load_everything(connection, context=context, wait_s=0.01, fresh_s=0)
    assert set(later.gaps) == {
        Gap(resource=slug, state="queued", complete_at=ENDED) for slug in SLUGS
    }
    assert await count_syncs(context, connection) == 2


async def shown(context: GatewayContext, connection: Connection, **more: Any) -> str:
    """Return what the header says."""
    return incomplete_header((await load_everything(connection, context=context, **more)).gaps)


async def test_at_its_deadline_it_answers_with_all_that_is_held_and_names_the_rest(
    context: GatewayContext, connection: Connection
) -> None:
    await tell(context, connection.sync_id or "", connection, pages="done", users="running")
    async with context.database.write() as db:
        message = item(connection, "users", id="u1", name="Lea")
        record = ConsumedRecord(message.topic, 0, 0, message.key, message.value, message.headers)
        await project_items(db, [item_row(record)])
    loaded = await load_everything(connection, context=context, wait_s=0.01)
    assert [row.name for row in loaded.rows] == ["Lea"]
    assert incomplete_header(loaded.gaps) == "data_sources;state=queued, users;state=running"
    with pytest.raises(Upstream) as refused:
        await load_everything(connection, context=context, wait_s=0.01, strict=True)
    assert "users running: 3 read so far. Ask again" in refused.value.detail


async def wait_for(
    context: GatewayContext, connection: Connection, *, resource: str, seconds: float
) -> None:
    """Report that a resource waits for its provider, for so many seconds from now."""
    waits = JobProgress(
        sync_id=connection.sync_id or "",
        job_id=f"waits-{resource}",
        step=1,
        connection_id=connection.id,
        resource=resource,
        state="waiting",
        waiting_reason="Notion is not available.",
        waiting_until=timestamp(clock.now() + seconds),
    )
    async with context.database.write() as db:
        await syncs.save_progress(db, [waits])
    context.watch.changed()


async def test_it_answers_as_soon_as_all_that_is_left_waits_for_long(
    context: GatewayContext, connection: Connection
) -> None:
    asked = asyncio.create_task(shown(context, connection))
    await wait_for(context, connection, resource="users", seconds=300)
    await tell(context, connection.sync_id or "", connection, pages="done")
    await turns(50)
    assert not asked.done(), "data sources may still be read"
    await tell(context, connection.sync_id or "", connection, data_sources="done")
    assert await asked == "users;state=waiting"


async def test_a_short_wait_is_waited_for(context: GatewayContext, connection: Connection) -> None:
    await tell(context, connection.sync_id or "", connection, pages="done", data_sources="done")
    await wait_for(context, connection, resource="users", seconds=10)
    asked = asyncio.create_task(shown(context, connection))
    await turns(50)
    assert not asked.done()
    await tell(context, connection.sync_id or "", connection, users="done")
    assert await asked == ""


async def test_what_is_incomplete_says_since_when_it_is_stale(
    context: GatewayContext, connection: Connection
) -> None:
    await tell(context, connection.sync_id or "", connection, **ALL_DONE)
    again = await ask(context, connection, *SLUGS)
    scope = JobError(code="missing_scope", detail="Notion did not grant users.", scope="users")
    await tell(context, again, connection, pages="done", data_sources="incomplete", users=scope)
    third = asyncio.create_task(shown(context, connection))
    await turns(50)
    newest = await newest_sync(context, connection)
    await tell(context, newest, connection, pages="done", data_sources="incomplete", users=scope)
    since = f'stale_since="{ENDED}"'
    assert await third == f"data_sources;state=incomplete;{since}, users;state=failed;{since}"


async def test_it_fails_only_when_nothing_was_ever_read_and_names_each_cause(
    context: GatewayContext, connection: Connection
) -> None:
    asked = asyncio.create_task(load_everything(connection, context=context))
    await turns()
    scope = JobError(code="missing_scope", detail="Notion did not grant it.", scope="users")
    await tell(context, connection.sync_id or "", connection, **dict.fromkeys(SLUGS, scope))
    with pytest.raises(Upstream) as failed:
        await asked
    assert failed.value.status == 502
    assert "users failed: Notion did not grant it." in failed.value.detail
    assert failed.value.detail.startswith("Notion could not be synced completely. pages failed:")


def test_the_header_is_short_whatever_is_missing() -> None:
    gaps = [
        Gap(resource=f"resource_{number}", state="failed", complete_at=ENDED)
        for number in range(1000)
    ]
    text = incomplete_header(gaps)
    assert len(text) <= LONGEST_HEADER
    assert text.isascii()
    listed = text.count("resource_")
    assert text.endswith(f", more;count={1000 - listed}")


async def newest_sync(context: GatewayContext, connection: Connection) -> str:
    async with context.database.read() as db:
        (newest,) = await syncs.newest(db, connection.id)
    return newest.id


async def ask(context: GatewayContext, connection: Connection, *resources: str) -> str:
    async with context.database.write() as db:
        return (
            await add_sync(
                db, connection, PROVIDERS["notion"], resources=resources, trigger="person"
            )
        ).id


async def test_it_waits_for_a_load_of_some_resources_before_it_takes_the_last_result(
    context: GatewayContext, connection: Connection
) -> None:
    await tell(
        context,
        connection.sync_id or "",
        connection,
        pages="done",
        users="done",
        data_sources="done",
    )
    part = await ask(context, connection, "users")
    asked = asyncio.create_task(shown(context, connection))
    await turns(50)
    assert not asked.done()
    await tell(context, part, connection, users="done")
    assert await asked == ""
    assert await count_syncs(context, connection) == 2


async def test_it_starts_a_load_once_one_of_some_resources_ended_and_the_last_result_is_old(
    context: GatewayContext, connection: Connection
) -> None:
    await tell(
        context,
        connection.sync_id or "",
        connection,
        pages="done",
        users="done",
        data_sources="done",
    )
    part = await ask(context, connection, "pages", "users")
    asked = asyncio.create_task(shown(context, connection, wait_s=0.5, fresh_s=0))
    await tell(context, part, connection, pages="done", users="failed")
    assert "data_sources;state=queued" in await asked
    assert await count_syncs(context, connection) == 3


async def test_the_newest_connection_is_the_one_that_was_consented_to_last(
    context: GatewayContext, connection: Connection
) -> None:
    younger = replace(
        connection, id=new_id(), account=Account(id="b"), sync_id=new_id(), created_at=timestamp()
    )
    async with context.database.write() as db:
        await apply_connection(db, younger, provider=PROVIDERS["notion"])
    who = {"provider": "notion", "org_id": "demo", "user_id": "demo"}
    assert await newest_connection(**who, context=context) == younger
    recovered = replace(connection, version=2, sync_id=f"f{new_id()[1:]}")
    async with context.database.write() as db:
        await apply_connection(db, recovered, provider=PROVIDERS["notion"])
    assert await newest_connection(**who, context=context) == recovered
    assert [one.id for one in (await list_connections(context=context)).connections] == [
        connection.id,
        younger.id,
    ]


async def test_a_sync_ended_when_the_last_of_its_jobs_did(
    context: GatewayContext, connection: Connection
) -> None:
    at = {
        "pages": "2099-01-01T00:00:01.500Z",
        "users": "2099-01-01T00:00:03.250Z",
        "data_sources": None,
    }
    bodies = [
        JobProgress(
            sync_id=connection.sync_id or "",
            job_id=slug,
            step=1,
            connection_id=connection.id,
            resource=slug,
            state="done",
            ended_at=ended,
        )
        for slug, ended in at.items()
    ]
    async with context.database.write() as db:
        await syncs.save_progress(db, bodies)
        await syncs.settle(db, log_id=context.log_ids[ITEMS])
    assert (await describe_sync(connection.sync_id or "", context=context)).ended_at == at["users"]


async def test_a_load_that_failed_is_no_result_and_is_tried_again(
    context: GatewayContext, connection: Connection
) -> None:
    await tell(
        context,
        connection.sync_id or "",
        connection,
        pages="failed",
        users="done",
        data_sources="done",
    )
    await load_everything(connection, context=context, wait_s=0.01)
    assert await count_syncs(context, connection) == 2


async def test_an_account_that_was_disconnected_meanwhile_is_a_conflict(
    context: GatewayContext, connection: Connection
) -> None:
    asked = asyncio.create_task(load_everything(connection, context=context))
    await turns()
    async with context.database.write() as db:
        await apply_connection(
            db, replace(connection, version=2, status="disconnected"), provider=PROVIDERS["notion"]
        )
    await tell(
        context,
        connection.sync_id or "",
        connection,
        pages="done",
        users="done",
        data_sources="done",
    )
    with pytest.raises(Conflict):
        await asked


async def test_a_stream_without_news_says_a_comment_now_and_then(
    context: GatewayContext, connection: Connection
) -> None:
    sent: asyncio.Queue[Any] = asyncio.Queue()
    reading = asyncio.Event()

    async def receive() -> Any:
        await reading.wait()
        return {"type": "http.disconnect"}

    stream = EventStream(connection.sync_id or "", after=0, context=context, comment_s=0.02)
    # The stream reads nothing of its scope.
    running = asyncio.create_task(stream({}, receive, sent.put))  # type: ignore[arg-type]
    said = [await sent.get() for _ in range(4)]
    reading.set()
    await running
    assert [one.get("body") for one in said] == [
        None,
        b"retry: 2000\n\n",
        b": still here\n\n",
        b": still here\n\n",
    ]


async def test_a_stream_ends_without_done_once_its_reader_may_no_longer_read(
    context: GatewayContext, connection: Connection
) -> None:
    sent: asyncio.Queue[Any] = asyncio.Queue()
    key = await create_key(org="demo", database=context.database)
    prefix = key.key.prefix

    stream = EventStream(
        connection.sync_id or "",
        after=0,
        context=context,
        comment_s=0.05,
        allowed=lambda: is_valid(prefix, database=context.database),
    )
    nothing = asyncio.Event()
    # The stream reads nothing of its scope.
    running = asyncio.create_task(stream({}, nothing.wait, sent.put))  # type: ignore[arg-type]
    said = [await sent.get() for _ in range(3)]
    assert said[-1]["body"] == b": still here\n\n", "as long as the key is good"
    await revoke_key(prefix, org=None, database=context.database)
    await running
    last = [sent.get_nowait() for _ in range(sent.qsize())][-1]
    assert last == {"type": "http.response.body", "body": b"", "more_body": False}

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services.auth import store
from services.auth.connect import get_flow
from services.auth.disconnect import disconnect
from services.auth.refresh.attempt import begin
from services.auth.sweep import keep_sweeping, sweep
from services.auth.tests.fake_provider import FakeProvider, runtime
from services.auth.tests.harness import Auth, open_auth
from shared.crypto import DecryptFailed, KeyRing, UnknownKey
from shared.db import Database, Schema
from shared.errors import NotFound
from shared.settings import SecretStr
from tests.support.waiting import until

HOUR = 3600


async def rows(auth: Auth, table: str) -> int:
    async with auth.context.database.read() as db:
        return int((await db.exec_driver_sql(f"SELECT count(*) FROM {table}")).scalar_one())


async def test_a_disconnect_deletes_the_tokens_and_revokes_them_at_the_provider(auth: Auth) -> None:
    connection = await auth.connect()
    gone = await disconnect(connection.id, context=auth.context)
    assert (gone.status, gone.version) == ("disconnected", 2)
    assert await rows(auth, "credentials") == 0
    assert auth.fake.refresh == {}
    assert (await auth.events())[-1] == ("Disconnected", gone)
    async with auth.context.database.read() as db:
        assert await store.find_connections(db) == ()


async def test_a_second_disconnect_gives_the_same_answer_and_no_second_event(auth: Auth) -> None:
    connection = await auth.connect()
    first = await disconnect(connection.id, context=auth.context)
    assert await disconnect(connection.id, context=auth.context) == first
    assert (auth.fake.seen["token/revoke"], len(await auth.events())) == (1, 2)
    with pytest.raises(NotFound):
        await disconnect("none", context=auth.context)


@pytest.mark.parametrize("fault", [500, 400, "unreachable", "lose"])
async def test_a_provider_that_fails_to_revoke_does_not_keep_a_connection_alive(
    auth: Auth, fault: str | int
) -> None:
    connection = await auth.connect()
    auth.fake.faults["token/revoke"] = [fault]
    assert (await disconnect(connection.id, context=auth.context)).status == "disconnected"
    assert await rows(auth, "credentials") == 0


async def test_a_grant_that_another_connection_stands_on_is_not_revoked(auth: Auth) -> None:
    first, second = await auth.connect(user="u1"), await auth.connect(user="u2")
    await disconnect(first.id, context=auth.context)
    assert auth.fake.seen["token/revoke"] == 0
    await disconnect(second.id, context=auth.context)
    assert auth.fake.seen["token/revoke"] == 1


async def test_a_provider_without_revocation_is_simply_left(tmp_path: Path) -> None:
    async with open_auth(tmp_path, FakeProvider(runtime(revoke_url=None))) as auth:
        connection = await auth.connect()
        assert (await disconnect(connection.id, context=auth.context)).status == "disconnected"


async def test_tokens_that_arrive_after_a_disconnect_are_revoked_too(auth: Auth) -> None:
    connection = await auth.connect()
    auth.fake.gate.clear()
    token = asyncio.create_task(auth.token(connection, stale_version=1))
    await auth.fake.arrived("refresh_token")
    ending = asyncio.create_task(disconnect(connection.id, context=auth.context))
    await auth.fake.arrived("token/revoke")
    assert await rows(auth, "credentials") == 0
    auth.fake.gate.set()
    await asyncio.gather(token, ending, return_exceptions=True)
    assert (auth.fake.refresh, auth.fake.seen["token/revoke"]) == ({}, 2)


async def test_the_sweeper_refreshes_what_is_in_use_and_about_to_expire(auth: Auth) -> None:
    used, idle = (
        await auth.connect(user="u1", account="a1"),
        await auth.connect(user="u2", account="a2"),
    )
    auth.clock.now += HOUR - 500
    await auth.token(used)
    assert await sweep(coordinator=auth.coordinator, context=auth.context) == 0
    auth.clock.now += 250
    assert await sweep(coordinator=auth.coordinator, context=auth.context) == 1
    async with auth.context.database.read() as db:
        found = {
            connection.id: connection.token_version
            for connection in await store.find_connections(db)
        }
    assert found == {used.id: 2, idle.id: 1}


async def test_the_sweeper_saves_a_refresh_token_that_is_about_to_die(auth: Auth) -> None:
    await auth.connect()
    async with auth.context.database.write() as db:
        dying = auth.clock.now + 10 * 86_400
        await db.exec_driver_sql("UPDATE credentials SET refresh_expires_at = ?", (dying,))
    assert await sweep(coordinator=auth.coordinator, context=auth.context) == 0
    auth.clock.now += 4 * 86_400
    assert await sweep(coordinator=auth.coordinator, context=auth.context) == 1
    assert auth.fake.seen["refresh_token"] == 1


async def test_the_sweeper_resolves_what_a_crash_left_in_the_journal(auth: Auth) -> None:
    connection = await auth.connect()
    await begin(connection.id, 1, again=False, context=auth.context)
    assert await sweep(coordinator=auth.coordinator, context=auth.context) == 0
    auth.clock.now += 21
    assert await sweep(coordinator=auth.coordinator, context=auth.context) == 1
    assert (await auth.events())[-1][0] == "Refreshed"


async def test_flows_are_forgotten_after_a_day(auth: Auth) -> None:
    flow = await auth.start()
    auth.clock.now += 86_401
    await sweep(coordinator=auth.coordinator, context=auth.context)
    with pytest.raises(NotFound):
        await get_flow(flow.flow_id, context=auth.context)


async def test_the_sweeper_stops_while_it_waits_for_its_next_pass(auth: Auth) -> None:
    flow = await auth.start()
    auth.clock.now += 86_401
    stopping = asyncio.Event()
    task = asyncio.create_task(
        keep_sweeping(stopping, coordinator=auth.coordinator, context=auth.context)
    )

    async def swept() -> bool:
        async with auth.context.database.read() as db:
            return await store.get_flow(db, flow.flow_id) is None

    await until(swept)
    stopping.set()
    await task


async def test_other_keys_than_those_of_the_data_are_refused_at_start(auth: Auth) -> None:
    async with auth.context.database.write() as db:
        await store.prove_keys(db, auth.context.keyring)
        await store.prove_keys(db, auth.context.keyring)
        with pytest.raises(UnknownKey):
            await store.prove_keys(db, KeyRing({"k2": b"k" * 32}, writing="k2"))
        with pytest.raises(DecryptFailed):
            await store.prove_keys(db, KeyRing({"k1": b"x" * 32}, writing="k1"))


async def test_the_sweeper_goes_on_after_a_database_that_did_not_answer(auth: Auth) -> None:
    nobody = Database(Schema(url=SecretStr("postgresql://u:p@127.0.0.1:1/none"), name="auth"))
    away, stopping = replace(auth.context, database=nobody), asyncio.Event()
    sweeper = asyncio.create_task(
        keep_sweeping(stopping, coordinator=auth.coordinator, context=away)
    )
    with capture_logs() as log:
        await until(lambda: [one["event"] for one in log].count("sweep_failed") == 1)
    assert not sweeper.done()
    stopping.set()
    await sweeper
    await nobody.close()

import sqlite3
from contextlib import closing
from io import StringIO
from pathlib import Path

import pytest

from services.auth import store
from services.auth.tests.fake_provider import FakeProvider, runtime
from services.auth.tests.harness import Auth, open_auth
from shared.errors import Conflict, TributaryError
from shared.telemetry import configure_logging


async def test_T11_no_token_code_or_secret_is_in_logs_events_errors_or_representations(
    tmp_path: Path,
) -> None:
    log = StringIO()
    configure_logging("debug", "json", log)
    async with open_auth(tmp_path, FakeProvider(runtime())) as auth:
        connection = await auth.connect()
        token = await auth.token(connection, stale_version=1)
        auth.fake.faults["authorization_code"] = [400, "lose", 503]
        results = [await auth.finish(await auth.come_back(await auth.start())) for _ in range(3)]
        auth.fake.faults["refresh_token"] = [503]
        with pytest.raises(TributaryError) as refused:
            await auth.token(connection, stale_version=2)
        shown = [
            log.getvalue(),
            repr(results),
            repr(await auth.events()),
            repr(auth.context),
            str(refused.value),
        ]
        shown += [repr(token), repr(auth.fake.runtime)]
    assert token.access_token.startswith("canary-")
    assert "refresh_failed" in log.getvalue()
    assert "canary-" not in "".join(shown)


async def test_T11_no_token_code_or_secret_stands_readable_in_the_database(tmp_path: Path) -> None:
    async with open_auth(tmp_path, FakeProvider(runtime())) as auth:
        await auth.token(await auth.connect(), stale_version=1)
        callback = await auth.come_back(await auth.start())
    with closing(sqlite3.connect(tmp_path / "auth.db")) as database:
        dump = "\n".join(database.iterdump())
    assert 'INSERT INTO "credentials"' in dump
    hidden = [
        *auth.fake.access,
        *auth.fake.refresh,
        *callback.params.values(),
        *callback.cookies.values(),
    ]
    assert [secret for secret in [*hidden, "canary-"] if secret in dump] == []


async def test_T12_neither_tokens_nor_codes_nor_secrets_are_in_an_address_we_call_or_hand_out(
    auth: Auth,
) -> None:
    connection = await auth.connect()
    await auth.token(connection, stale_version=1)
    flow = await auth.start()
    assert "canary-" not in flow.authorize_url
    assert any("canary-refresh-" in body for body in auth.fake.bodies)


@pytest.mark.parametrize("column", ["access_sealed", "refresh_sealed"])
async def test_T30_a_ciphertext_moved_from_another_tenant_is_refused_and_the_connection_stopped(
    auth: Auth, column: str
) -> None:
    own, other = await auth.connect(org="o1"), await auth.connect(org="o2", account="a2")
    async with auth.context.database.write() as db:
        moved = f"(SELECT {column} FROM credentials WHERE connection_id = ?)"
        await db.exec_driver_sql(
            f"UPDATE credentials SET {column} = {moved} WHERE connection_id = ?",
            (other.id, own.id),
        )
    with pytest.raises(Conflict) as refused:
        await auth.token(own, stale_version=1 if column == "refresh_sealed" else None)
    assert refused.value.code in {"decrypt_failed", "reauth_required"}
    async with auth.context.database.read() as db:
        stopped = await store.get_connection(db, own.id)
    assert stopped is not None
    assert (stopped.status, (await auth.events())[-1][0]) == (
        "reauth_required",
        "ReauthorizationNeeded",
    )
    assert auth.fake.seen["refresh_token"] == 0
    assert (await auth.token(other)).token_version == 1


@pytest.mark.parametrize(
    "change", ["substr(access_sealed, 1, 40)", "'v0' || substr(access_sealed, 3)", "''"]
)
async def test_T30_a_truncated_or_downgraded_ciphertext_is_refused(auth: Auth, change: str) -> None:
    connection = await auth.connect()
    async with auth.context.database.write() as db:
        await db.exec_driver_sql(f"UPDATE credentials SET access_sealed = {change}")
    with pytest.raises(Conflict) as refused:
        await auth.token(connection)
    assert refused.value.code == "decrypt_failed"

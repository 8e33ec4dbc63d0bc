import asyncio
import sqlite3
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select

from services.auth import credentials, store
from services.auth.refresh.attempt import Claim, begin, give_up, keep
from services.auth.tables import credentials as credentials_table
from services.auth.tests.fake_provider import FakeProvider, runtime
from services.auth.tests.harness import Auth, open_auth
from shared.contracts.connections import Connection
from shared.errors import Conflict, TributaryError, Unavailable
from shared.telemetry import configure_logging
from tests.support.waiting import turns, until

HOUR = 3600


async def status_of(auth: Auth, connection: Connection) -> Connection:
    async with auth.context.database.read() as db:
        found = await store.get_connection(db, connection.id)
    assert found is not None
    return found


async def crash_after_sending(auth: Auth, connection: Connection, *, answered: bool) -> None:
    """Leave what a killed process leaves: a journal row, and perhaps a call at the provider."""
    claim = await begin(connection.id, connection.token_version, again=False, context=auth.context)
    assert isinstance(claim, Claim)
    if answered:
        pair = credentials.opened(claim.connection, claim.credential, auth.context.keyring)
        assert pair.refresh is not None
        await auth.context.endpoints[auth.slug].refresh(pair.refresh)
        auth.fake.seen.clear()


async def test_a_fresh_token_is_given_without_a_refresh(auth: Auth) -> None:
    connection = await auth.connect()
    token = await auth.token(connection)
    assert token.token_version == 1
    assert token.expires_in_s == pytest.approx(HOUR)
    assert auth.fake.access[token.access_token] == "a1"
    assert auth.fake.seen["refresh_token"] == 0


async def test_a_token_is_refreshed_five_minutes_before_its_end(auth: Auth) -> None:
    connection = await auth.connect()
    auth.clock.now += HOUR - 301
    assert (await auth.token(connection)).token_version == 1
    auth.clock.now += 2
    token = await auth.token(connection)
    assert token.token_version == 2
    assert token.expires_in_s == pytest.approx(HOUR)
    kind, snapshot = (await auth.events())[-1]
    assert (kind, snapshot.token_version, snapshot.version, snapshot.sync_id) == (
        "Refreshed",
        2,
        2,
        connection.sync_id,
    )


async def test_two_hundred_requests_for_an_expired_token_refresh_it_once(auth: Auth) -> None:
    connection = await auth.connect()
    auth.clock.now += HOUR + 1
    auth.fake.gate.clear()
    others = [auth, auth.another_process(), auth.another_process(), auth.another_process()]
    requests = [asyncio.create_task(others[n % 4].token(connection)) for n in range(200)]
    await auth.fake.arrived("refresh_token")
    auth.fake.gate.set()
    tokens = await asyncio.gather(*requests)
    assert {(token.token_version, token.access_token) for token in tokens} == {
        (2, tokens[0].access_token)
    }
    assert auth.fake.seen["refresh_token"] == 1


async def test_a_refused_token_is_refreshed_only_while_its_epoch_is_current(auth: Auth) -> None:
    connection = await auth.connect()
    assert (await auth.token(connection, stale_version=1)).token_version == 2
    assert (await auth.token(connection, stale_version=1)).token_version == 2
    assert auth.fake.seen["refresh_token"] == 1


async def test_a_provider_that_says_no_lifetime_is_never_refreshed_on_a_timer(auth: Auth) -> None:
    auth.fake.lifetime = None
    connection = await auth.connect()
    auth.clock.now += 400 * 86_400
    token = await auth.token(connection)
    assert (token.token_version, token.expires_in_s, auth.fake.seen["refresh_token"]) == (
        1,
        None,
        0,
    )
    assert (await auth.token(connection, stale_version=1)).token_version == 2


@pytest.mark.parametrize("fault", [503, 429, "unreachable"])
async def test_a_failed_refresh_is_no_error_while_the_token_lives(
    auth: Auth, fault: str | int
) -> None:
    connection = await auth.connect()
    auth.clock.now += HOUR - 200
    auth.fake.faults["refresh_token"] = [fault]
    assert (await auth.token(connection)).token_version == 1
    assert (await auth.token(connection)).token_version == 1
    assert auth.fake.seen["refresh_token"] == 1
    auth.clock.now += 2
    assert (await auth.token(connection)).token_version == 2


async def test_with_an_expired_token_and_the_provider_away_the_answer_says_try_again(
    auth: Auth,
) -> None:
    connection = await auth.connect()
    auth.clock.now += HOUR + 1
    auth.fake.faults["refresh_token"] = ["unreachable"] * 9
    for _ in range(9):
        with pytest.raises(Unavailable) as refused:
            await auth.token(connection)
        assert refused.value.code == "provider_unavailable"
        auth.clock.now += 61
    assert (await status_of(auth, connection)).status == "active"
    assert (await auth.token(connection)).token_version == 2


async def test_our_own_wrong_settings_never_end_a_connection(auth: Auth) -> None:
    connection = await auth.connect()
    auth.fake.faults["refresh_token"] = [401]
    with pytest.raises(Unavailable):
        await auth.token(connection, stale_version=1)
    assert (await status_of(auth, connection)).status == "active"


async def test_F25_a_dead_grant_asks_for_consent_once_and_is_not_tried_again(auth: Auth) -> None:
    connection = await auth.connect()
    auth.fake.refresh.clear()
    for _ in range(3):
        with pytest.raises(Conflict) as refused:
            await auth.token(connection, stale_version=1)
        assert refused.value.code == "reauth_required"
    assert auth.fake.seen["refresh_token"] == 1
    kind, snapshot = (await auth.events())[-1]
    assert (kind, snapshot.status) == ("ReauthorizationNeeded", "reauth_required")
    assert "Acme" in (snapshot.reason or "")
    back = await auth.connect()
    assert (back.id, back.status, back.reason) == (connection.id, "active", None)


async def test_F25_a_smaller_grant_shows_at_the_next_refresh(auth: Auth) -> None:
    connection = await auth.connect()
    auth.fake.granted = "notes:read"
    await auth.token(connection, stale_version=1)
    assert (await status_of(auth, connection)).resources == ("notes",)


async def test_a_token_that_cannot_be_renewed_and_is_refused_asks_for_consent(auth: Auth) -> None:
    connection = await auth.connect()
    async with auth.context.database.write() as db:
        await db.exec_driver_sql("UPDATE credentials SET refresh_sealed = NULL, fingerprint = NULL")
    assert (await auth.token(connection)).token_version == 1
    with pytest.raises(Conflict) as refused:
        await auth.token(connection, stale_version=1)
    assert refused.value.code == "reauth_required"


async def test_F23_a_lost_answer_of_a_strict_provider_costs_two_requests_and_then_asks_for_consent(
    auth: Auth,
) -> None:
    connection = await auth.connect()
    auth.fake.faults["refresh_token"] = ["lose"]
    with pytest.raises(Conflict) as refused:
        await auth.token(connection, stale_version=1)
    assert refused.value.code == "reauth_required"
    assert auth.fake.seen["refresh_token"] == 2
    assert "lost" in ((await status_of(auth, connection)).reason or "")


@pytest.mark.parametrize("fault", ["lose", "garble"])
async def test_F23_a_lost_answer_of_a_lenient_provider_is_recovered_by_one_replay(
    auth: Auth, fault: str
) -> None:
    auth.fake.grace = True
    connection = await auth.connect()
    auth.fake.faults["refresh_token"] = [fault]
    assert (await auth.token(connection, stale_version=1)).token_version == 2
    assert auth.fake.seen["refresh_token"] == 2


async def test_F23_a_second_lost_answer_is_not_replayed_again(auth: Auth) -> None:
    auth.fake.grace = True
    connection = await auth.connect()
    auth.fake.faults["refresh_token"] = ["lose", "lose"]
    with pytest.raises(Conflict):
        await auth.token(connection, stale_version=1)
    assert auth.fake.seen["refresh_token"] == 2


async def test_a_provider_that_keeps_its_refresh_token_survives_any_number_of_lost_answers(
    lasting: Auth,
) -> None:
    connection = await lasting.connect()
    lasting.fake.faults["refresh_token"] = ["lose"] * 5
    for _ in range(5):
        with pytest.raises(Unavailable):
            await lasting.token(connection, stale_version=1)
        lasting.clock.now += 61
    assert (await lasting.token(connection, stale_version=1)).token_version == 2


async def test_F04_killed_before_the_call_left_the_old_token_proves_that_nothing_happened(
    auth: Auth,
) -> None:
    connection = await auth.connect()
    await crash_after_sending(auth, connection, answered=False)
    auth.clock.now += 21
    assert (await auth.token(connection, stale_version=1)).token_version == 2
    assert (auth.fake.seen["refresh_token"], auth.fake.seen["whoami"]) == (1, 2)


async def test_F04_killed_before_the_answer_was_stored_is_replayed_once(auth: Auth) -> None:
    auth.fake.grace = True
    connection = await auth.connect()
    await crash_after_sending(auth, connection, answered=True)
    auth.clock.now += 21
    assert (await auth.token(connection, stale_version=1)).token_version == 2
    assert auth.fake.seen["refresh_token"] == 1


async def test_while_the_provider_is_away_a_lost_answer_stays_open(auth: Auth) -> None:
    """Neither a probe that cannot be made nor a replay that had no effect is a verdict."""
    auth.fake.grace = True
    connection = await auth.connect()
    auth.fake.faults["refresh_token"] = ["lose", "unreachable", 503]
    auth.fake.faults["whoami"] = ["unreachable", 503]
    for _ in range(4):
        with pytest.raises(Unavailable):
            await auth.token(connection, stale_version=1)
        auth.clock.now += 61
    assert (await status_of(auth, connection)).status == "active"
    assert (await auth.token(connection, stale_version=1)).token_version == 2


async def test_another_process_waits_while_an_attempt_stands(auth: Auth) -> None:
    connection = await auth.connect()
    await crash_after_sending(auth, connection, answered=False)
    waiting = asyncio.create_task(auth.token(connection, stale_version=1))
    asked = auth.clock.asked
    await until(lambda: waiting.done() or auth.clock.asked >= asked + 10)
    assert not waiting.done(), "it looks again and again whether the time of the attempt is over"
    assert auth.fake.seen["refresh_token"] == 0
    auth.clock.now += 21
    assert (await waiting).token_version == 2


async def test_a_pair_that_comes_late_is_stored_while_its_refresh_token_still_stands(
    auth: Auth,
) -> None:
    connection = await auth.connect()
    claim = await begin(connection.id, 1, again=False, context=auth.context)
    assert isinstance(claim, Claim)
    pair = credentials.opened(claim.connection, claim.credential, auth.context.keyring)
    assert pair.refresh is not None
    late = await auth.context.endpoints[auth.slug].refresh(pair.refresh)
    auth.clock.now += 21
    with pytest.raises(Conflict):
        await auth.token(connection, stale_version=1)
    assert await keep(claim, late, context=auth.context)
    token = await auth.token(connection)
    assert (token.access_token, token.token_version) == (late.pair.access.reveal(), 2)
    kind, snapshot = (await auth.events())[-1]
    assert (kind, snapshot.status) == ("Recovered", "active")
    assert not await keep(claim, late, context=auth.context)


async def test_the_verdict_of_an_attempt_that_was_overtaken_does_not_count(auth: Auth) -> None:
    connection = await auth.connect()
    first = await begin(connection.id, 1, again=False, context=auth.context)
    auth.clock.now += 21
    second = await begin(connection.id, 1, again=False, context=auth.context)
    assert isinstance(first, Claim)
    assert isinstance(second, Claim)
    await give_up(first, "late", context=auth.context)
    assert (await status_of(auth, connection)).status == "active"
    await give_up(second, "in time", context=auth.context)
    assert (await status_of(auth, connection)).reason == "in time"


async def test_consent_during_a_refresh_wins_over_its_late_answer(auth: Auth) -> None:
    connection = await auth.connect()
    claim = await begin(connection.id, 1, again=False, context=auth.context)
    assert isinstance(claim, Claim)
    pair = credentials.opened(claim.connection, claim.credential, auth.context.keyring)
    assert pair.refresh is not None
    late = await auth.context.endpoints[auth.slug].refresh(pair.refresh)
    again = await auth.connect()
    assert not await keep(claim, late, context=auth.context)
    assert (await auth.token(again)).token_version == again.token_version


async def test_a_caller_that_goes_away_does_not_cut_off_the_refresh(auth: Auth) -> None:
    connection = await auth.connect()
    auth.fake.gate.clear()
    caller = asyncio.create_task(auth.token(connection, stale_version=1))
    await auth.fake.arrived("refresh_token")
    caller.cancel()
    auth.fake.gate.set()
    assert (await auth.token(connection, stale_version=1)).token_version == 2
    assert auth.fake.seen["refresh_token"] == 1


async def test_at_most_eight_refreshes_of_a_provider_run_at_once(auth: Auth) -> None:
    made = [await auth.connect(user=f"u{n}", account=f"a{n}") for n in range(20)]
    auth.fake.gate.clear()
    tokens = [asyncio.create_task(auth.token(connection, stale_version=1)) for connection in made]
    await until(lambda: len(refreshing()) == len(made))
    await turns()
    # Whoever was let in by now has asked to write before this does.
    async with auth.context.database.write() as db:
        claimed = select(func.count(credentials_table.c.attempt_id))
        assert (await db.execute(claimed)).scalar() == 8
    await auth.fake.arrived("refresh_token", 8)
    auth.fake.gate.set()
    assert {token.token_version for token in await asyncio.gather(*tokens)} == {2}


def refreshing() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("refresh ")]


async def test_a_disconnected_connection_gives_no_token(auth: Auth) -> None:
    connection = await auth.connect()
    async with auth.context.database.write() as db:
        await db.exec_driver_sql("DELETE FROM credentials")
    with pytest.raises(TributaryError) as refused:
        await auth.token(connection)
    assert (refused.value.status, refused.value.code) == (409, "disconnected")


async def test_a_second_refresh_moments_later_elsewhere_is_no_end(tmp_path: Path) -> None:
    fake = FakeProvider(runtime(refreshed_moments_ago=frozenset({409})))
    async with open_auth(tmp_path, fake) as auth:
        connection = await auth.connect()
        fake.faults["refresh_token"] = [409]
        with pytest.raises(Unavailable):
            await auth.token(connection, stale_version=1)
        auth.clock.now += 2
        assert (await auth.token(connection, stale_version=1)).token_version == 2


async def test_a_public_client_names_itself_and_sends_no_secret(tmp_path: Path) -> None:
    async with open_auth(tmp_path, FakeProvider(runtime(secret=None))) as auth:
        connection = await auth.connect()
        assert (await auth.token(connection, stale_version=1)).token_version == 2
        assert msgspec.json.encode(connection)


async def test_new_tokens_are_kept_until_a_database_that_is_away_is_back(
    auth: Auth, tmp_path: Path
) -> None:
    connection = await auth.connect()
    log = StringIO()
    configure_logging("info", "json", log)
    auth.fake.gate.clear()
    asked = asyncio.create_task(auth.token(connection, stale_version=1))
    await auth.fake.arrived("refresh_token")
    with closing(sqlite3.connect(tmp_path / "auth.db")) as operator:
        operator.execute("ALTER TABLE outbox RENAME TO away")
        auth.fake.gate.set()
        await until(lambda: "refreshed_not_stored" in log.getvalue())
        assert not asked.done()
        operator.execute("ALTER TABLE away RENAME TO outbox")
    assert (await asked).token_version == 2
    assert auth.fake.seen["refresh_token"] == 1

import asyncio
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from services.auth.connect import get_flow, open_flow
from services.auth.disconnect import disconnect
from services.auth.tests.harness import Auth
from shared.contracts.auth import Callback, CallbackResult
from shared.contracts.envelope import Headers
from shared.errors import BadRequest, NotFound, TributaryError


def code_of(result: CallbackResult) -> str | None:
    return result.error.code if result.error else None


async def test_a_consent_makes_an_active_connection_and_one_event(auth: Auth) -> None:
    flow = await auth.start()
    assert flow.status == "pending"
    assert flow.authorize_url == f"http://localhost:8000/connect/{flow.flow_id}"
    result = await auth.finish(await auth.come_back(flow))
    assert (result.event, code_of(result)) == ("Connected", None)
    connection = result.connection
    assert connection is not None
    assert (connection.status, connection.generation, connection.account.name) == (
        "active",
        1,
        "Account a1",
    )
    assert connection.resources == ("things", "notes")
    assert await auth.events() == [("Connected", connection)]
    shown = await get_flow(flow.flow_id, context=auth.context)
    assert (shown.status, shown.connection_id) == ("connected", connection.id)


async def test_the_event_that_starts_a_sync_carries_the_id_the_snapshot_names(auth: Auth) -> None:
    connection = await auth.connect()
    assert connection.sync_id
    async with auth.context.database.read() as db:
        headers = (await db.exec_driver_sql("SELECT headers FROM outbox")).scalar_one()
    found = dict(msgspec.msgpack.decode(headers, type=Headers))
    assert found["ce_id"].decode() == connection.sync_id


async def test_only_what_was_granted_can_be_loaded(auth: Auth) -> None:
    auth.fake.granted = "notes:read other:read"
    connection = await auth.connect()
    assert (connection.scopes, connection.resources) == (("notes:read", "other:read"), ("notes",))


async def test_T01_of_fifty_parallel_replays_of_a_callback_one_succeeds(auth: Auth) -> None:
    callback = await auth.come_back(await auth.start())
    results = await asyncio.gather(*(auth.finish(callback) for _ in range(50)))
    assert sorted(str(code_of(result)) for result in results) == ["None"] + ["state_invalid"] * 49
    assert auth.fake.seen["authorization_code"] == 1
    assert len(await auth.events()) == 1


async def test_T01_the_browser_that_finished_a_flow_is_told_so_and_nothing_is_exchanged(
    auth: Auth,
) -> None:
    callback = await auth.come_back(await auth.start())
    done = await auth.finish(callback)
    again = await auth.finish(callback)
    assert (code_of(again), again.flow, again.connection) == ("state_invalid", done.flow, None)
    assert done.connection is not None
    await disconnect(done.connection.id, context=auth.context)
    gone = await auth.finish(callback)
    assert (code_of(gone), gone.flow) == ("state_invalid", None)
    for cookies in ({}, {next(iter(callback.cookies)): "x" * 43}):
        other = await auth.finish(msgspec.structs.replace(callback, cookies=cookies))
        assert (code_of(other), other.flow) == ("flow_mismatch", None)
    assert auth.fake.seen["authorization_code"] == 1


async def test_the_browser_that_is_finishing_a_flow_is_told_that_it_is_not_over(
    auth: Auth,
) -> None:
    callback = await auth.come_back(await auth.start())
    (flow_id,) = callback.cookies
    async with auth.context.database.write() as db:
        await db.exec_driver_sql("UPDATE flows SET used = 1")
    again = await auth.finish(callback)
    assert again.flow is not None
    assert (code_of(again), again.flow.flow_id, again.flow.status) == (
        "state_invalid",
        flow_id,
        "pending",
    )
    assert auth.fake.seen["authorization_code"] == 0


async def test_T02_another_browser_cannot_finish_a_flow_and_cannot_spend_it(auth: Auth) -> None:
    callback = await auth.come_back(await auth.start())
    flow_id = next(iter(callback.cookies))
    for cookies in ({}, {flow_id: "x" * 43}, {"other": callback.cookies[flow_id]}):
        result = await auth.finish(msgspec.structs.replace(callback, cookies=cookies))
        assert (code_of(result), result.flow, result.connection) == ("flow_mismatch", None, None)
    assert auth.fake.seen["authorization_code"] == 0
    assert code_of(await auth.finish(callback)) is None


async def test_T02_a_flow_nobody_opened_cannot_be_finished(auth: Auth) -> None:
    flow = await auth.start()
    opened = await open_flow(flow.flow_id, context=auth.context)
    state = parse_qs(urlsplit(opened.authorize_url).query)["state"][0]
    async with auth.context.database.write() as db:
        await db.exec_driver_sql("UPDATE flows SET nonce_hash = NULL")
    forged = Callback(
        provider=auth.slug, params={"state": state, "code": "c"}, cookies={flow.flow_id: ""}
    )
    assert code_of(await auth.finish(forged)) == "flow_mismatch"


async def test_T03_the_browser_that_opened_the_link_last_finishes_it(auth: Auth) -> None:
    flow = await auth.start()
    first = await auth.come_back(flow)
    second = await auth.come_back(flow)
    assert first.params["state"] == second.params["state"]
    assert code_of(await auth.finish(first)) == "flow_mismatch"
    assert code_of(await auth.finish(second)) is None


async def test_T04_a_callback_on_another_providers_route_is_refused(auth: Auth) -> None:
    callback = await auth.come_back(await auth.start())
    assert (
        code_of(await auth.finish(msgspec.structs.replace(callback, provider="other")))
        == "state_invalid"
    )
    assert auth.fake.seen["authorization_code"] == 0


async def test_T05_a_code_stolen_from_another_flow_is_refused_for_its_verifier(auth: Auth) -> None:
    victim = await auth.come_back(await auth.start())
    own = await auth.come_back(await auth.start(user="attacker"))
    stolen = msgspec.structs.replace(own, params={**own.params, "code": victim.params["code"]})
    assert code_of(await auth.finish(stolen)) == "code_expired"


async def test_T06_a_hostile_error_description_is_never_shown(auth: Auth) -> None:
    for error, code in (
        ("access_denied", "access_denied"),
        ("<script>x</script>", "provider_refused"),
    ):
        callback = await auth.come_back(await auth.start(), decision="deny")
        hostile = "<img src=x onerror=alert(1)>" * 5000
        params = {**callback.params, "error": error, "error_description": hostile}
        result = await auth.finish(msgspec.structs.replace(callback, params=params))
        assert code_of(result) == code
        assert result.flow is not None
        assert result.flow.status == "failed"
        text = msgspec.json.encode(result).decode()
        assert "<" not in text
        assert len(text) < 1500


@pytest.mark.parametrize("state", ["", "unknown", "x" * 5000, "é\0"])
async def test_an_unknown_state_is_refused(auth: Auth, state: str) -> None:
    result = await auth.finish(
        Callback(provider=auth.slug, params={"state": state, "code": "c"}, cookies={})
    )
    assert (code_of(result), result.flow) == ("state_invalid", None)
    missing = await auth.finish(Callback(provider=auth.slug, params={}, cookies={}))
    assert code_of(missing) == "state_invalid"


async def test_a_callback_without_a_code_says_so(auth: Auth) -> None:
    callback = await auth.come_back(await auth.start())
    without = {"state": callback.params["state"]}
    assert (
        code_of(await auth.finish(msgspec.structs.replace(callback, params=without)))
        == "code_missing"
    )


async def test_a_link_is_good_for_ten_minutes(auth: Auth) -> None:
    flow = await auth.start()
    callback = await auth.come_back(flow)
    auth.clock.now += 601
    shown = await get_flow(flow.flow_id, context=auth.context)
    assert (shown.status, shown.error and shown.error.code) == ("failed", "flow_expired")
    with pytest.raises(TributaryError) as refused:
        await open_flow(flow.flow_id, context=auth.context)
    assert refused.value.status == 410
    assert code_of(await auth.finish(callback)) == "flow_expired"


async def test_a_link_that_was_used_cannot_be_opened_again(auth: Auth) -> None:
    flow = await auth.start()
    await auth.finish(await auth.come_back(flow))
    with pytest.raises(TributaryError) as refused:
        await open_flow(flow.flow_id, context=auth.context)
    assert (refused.value.status, refused.value.code) == (410, "flow_done")


async def test_an_unknown_link_and_an_unknown_provider_are_told_apart_from_failures(
    auth: Auth,
) -> None:
    with pytest.raises(NotFound):
        await open_flow("none", context=auth.context)
    auth.fake.runtime = msgspec.structs.replace(
        auth.fake.runtime,
        provider=msgspec.structs.replace(auth.fake.runtime.provider, slug="nobody"),
    )
    with pytest.raises(BadRequest):
        await auth.start()


@pytest.mark.parametrize("org", ["", "  ", "x" * 257, "a\0b"])
async def test_names_that_are_no_names_are_refused(auth: Auth, org: str) -> None:
    with pytest.raises(BadRequest):
        await auth.start(org=org)


async def test_org_and_user_are_data_not_parts_of_an_address(auth: Auth) -> None:
    connection = await auth.connect(org="a:b", user="x&redirect_uri=http://evil")
    other = await auth.connect(org="a", user="b:x&redirect_uri=http://evil")
    assert connection.id != other.id


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (503, "provider_unavailable"),
        ("unreachable", "provider_unavailable"),
        ("lose", "provider_unavailable"),
        (400, "provider_refused"),
        (401, "provider_config"),
        ("garble", "provider_unavailable"),
    ],
)
async def test_a_failed_exchange_ends_the_flow_in_words(
    auth: Auth, fault: str | int, code: str
) -> None:
    auth.fake.faults["authorization_code"] = [fault]
    flow = await auth.start()
    result = await auth.finish(await auth.come_back(flow))
    assert code_of(result) == code
    shown = await get_flow(flow.flow_id, context=auth.context)
    assert shown.error == result.error
    assert "Acme" in (shown.error.detail if shown.error else "")
    assert await auth.events() == []


async def test_an_identity_call_that_fails_once_is_made_again(auth: Auth) -> None:
    auth.fake.faults["whoami"] = [503]
    assert (await auth.connect()).account.id == "a1"


async def test_several_flows_at_once_do_not_disturb_each_other(auth: Auth) -> None:
    callbacks = [await auth.come_back(await auth.start(), account=f"a{n}") for n in range(3)]
    results = [await auth.finish(callback) for callback in reversed(callbacks)]
    assert len({result.connection.id for result in results if result.connection}) == 3


async def test_the_same_identity_keeps_its_connection_and_recovers(auth: Auth) -> None:
    first = await auth.connect()
    second = await auth.connect()
    assert (second.id, second.generation, second.version) == (first.id, 1, 2)
    assert second.token_version > first.token_version
    assert second.sync_id != first.sync_id
    assert [kind for kind, _ in await auth.events()] == ["Connected", "Recovered"]
    other = await auth.connect(account="a2")
    assert other.id != first.id


async def test_after_a_disconnect_the_same_connection_returns_as_the_next_generation(
    auth: Auth,
) -> None:
    first = await auth.connect()
    await disconnect(first.id, context=auth.context)
    again = await auth.connect()
    assert (again.id, again.generation, again.status) == (first.id, 2, "active")
    assert again.token_version > first.token_version
    assert [kind for kind, _ in await auth.events()] == ["Connected", "Disconnected", "Connected"]

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer

from services.auth.tests.serving import PROVIDERS, Stack, open_stack
from shared.contracts.connections import KINDS, Connection
from shared.contracts.envelope import decode
from shared.contracts.topics import CONNECTIONS
from tests.support.clock import MovableClock
from tests.support.waiting import PATIENCE_S

FLOW = {"provider": "notion", "org_id": "o1", "user_id": "u1"}


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with open_stack(tmp_path) as opened:
        yield opened


async def published(kafka: str, count: int) -> list[tuple[str, Connection]]:
    consumer = AIOKafkaConsumer(CONNECTIONS, bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            messages = [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()
    return [decode(message.value, message.headers, KINDS) for message in messages]


@pytest.mark.parametrize("slug", sorted(PROVIDERS))
async def test_a_connection_is_made_refreshed_and_ended_at_every_provider(
    stack: Stack, slug: str
) -> None:
    result = await stack.consent(slug)
    assert result["error"] is None, result
    connection = result["connection"]
    assert connection["account"]["id"]
    assert connection["account"]["name"]
    assert connection["resources"] == [resource.slug for resource in PROVIDERS[slug].resources]
    first = (await stack.token(connection["id"])).json()
    second = (await stack.token(connection["id"], stale_version=first["token_version"])).json()
    assert second["token_version"] == first["token_version"] + 1
    assert second["access_token"] != first["access_token"]
    ended = await stack.auth.delete(f"/connections/{connection['id']}")
    assert ended.json()["status"] == "disconnected"
    assert (await stack.auth.get("/connections")).json() == {"connections": []}
    assert (await stack.auth.get(f"/connections/{connection['id']}")).json() == ended.json()
    revoked = await stack.asked(slug, "/revoke")
    assert revoked == (PROVIDERS[slug].oauth.revoke_url is not None)
    events = await published(stack.kafka, 3)
    assert [kind for kind, _ in events] == ["Connected", "Refreshed", "Disconnected"]
    assert msgspec.to_builtins(events[0][1]) == msgspec.to_builtins(
        msgspec.convert(connection, Connection)
    )


@pytest.mark.parametrize("slug", sorted(PROVIDERS))
async def test_consenting_again_keeps_the_connection_at_every_provider(
    stack: Stack, slug: str
) -> None:
    first, second = await stack.consent(slug), await stack.consent(slug)
    assert (first["event"], second["event"]) == ("Connected", "Recovered")
    assert first["connection"]["id"] == second["connection"]["id"]


async def test_a_person_sees_the_domain_of_an_account_that_has_a_number(stack: Stack) -> None:
    account = (await stack.consent("hubspot"))["connection"]["account"]
    assert account == {"id": "4410021", "name": "northwind-outfitters.example"}


@pytest.mark.parametrize("fault", [{"status": 500}, {"drop": "answer"}])
async def test_an_introspection_that_fails_still_connects_with_the_portal_number(
    stack: Stack, fault: dict[str, object]
) -> None:
    failing = [{"match": {"method": "POST", "path": "*token/introspect"}, "times": 1, **fault}]
    assert (await stack.control.put("/_sandbox/hubspot/faults", json=failing)).status_code == 200
    connection = (await stack.consent("hubspot"))["connection"]
    assert (connection["status"], connection["account"]) == (
        "active",
        {"id": "4410021", "name": "4410021"},
    )
    assert await stack.asked("hubspot", "token/introspect") == 1


@pytest.mark.parametrize("slug", sorted(PROVIDERS))
async def test_F23_a_refresh_whose_answer_is_lost_ends_as_the_provider_rotates(
    movable_clock: MovableClock, stack: Stack, slug: str
) -> None:
    connection = (await stack.consent(slug))["connection"]
    lost = [{"match": {"method": "POST", "path": "*token"}, "drop": "answer", "times": 1}]
    assert (await stack.control.put(f"/_sandbox/{slug}/faults", json=lost)).status_code == 200
    before = await stack.asked(slug, "token")
    answer = await stack.token(connection["id"], stale_version=connection["token_version"])
    asked = await stack.asked(slug, "token") - before
    if PROVIDERS[slug].oauth.rotates:
        assert (answer.status_code, answer.json()["code"], asked) == (409, "reauth_required", 2)
    else:
        assert (answer.status_code, asked) == (503, 1)
        movable_clock.move(seconds=61)
        assert (
            await stack.token(connection["id"], stale_version=connection["token_version"])
        ).json()["token_version"] == 2


async def test_R2_two_hundred_callers_over_http_make_one_refresh(stack: Stack) -> None:
    connection = (await stack.consent("airtable"))["connection"]
    before = await stack.asked("airtable", "token")
    answers = await asyncio.gather(
        *(stack.token(connection["id"], stale_version=1) for _ in range(200))
    )
    assert {answer.json()["token_version"] for answer in answers} == {2}
    assert await stack.asked("airtable", "token") - before == 1


async def test_a_started_flow_a_connection_and_its_tokens_survive_a_restart(tmp_path: Path) -> None:
    async with open_stack(tmp_path) as stack:
        connection = (await stack.consent("hubspot"))["connection"]
        flow = (await stack.auth.post("/flows", json=FLOW)).json()
    async with open_stack(tmp_path) as stack:
        assert (await stack.auth.get("/connections")).json()["connections"] == [connection]
        assert (await stack.auth.get(f"/flows/{flow['flow_id']}")).json() == flow
        assert (await stack.token(connection["id"])).json()["token_version"] == 1

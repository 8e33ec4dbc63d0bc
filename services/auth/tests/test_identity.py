import asyncio
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from sqlalchemy import update

from services.auth.tables import connections
from services.auth.tests.fake_provider import FakeProvider, runtime
from services.auth.tests.harness import Auth, open_auth
from shared.connector import Identity
from shared.telemetry import configure_logging
from tests.support.waiting import PATIENCE_S

ASKED = "token/introspect"
INTROSPECT: dict[str, Any] = {
    "introspect_url": "{token_url}/introspect",
    "introspect_params": {"token_type_hint": "access_token"},
}


def named_by(*paths: str) -> Identity:
    return Identity(account_id=("identity.id",), account_name=paths, url="{api_url}/whoami")


@pytest.fixture
async def told(tmp_path: Path) -> AsyncIterator[Auth]:
    """A provider that tells the account's domain in an introspection only."""
    identity = named_by("introspection.domain", "identity.name")
    async with open_auth(
        tmp_path, FakeProvider(runtime(identity=identity, **INTROSPECT))
    ) as opened:
        yield opened


async def test_an_account_is_called_what_an_introspection_of_its_token_says(told: Auth) -> None:
    assert (await told.connect()).account.name == "a1.example"
    form = parse_qs(next(body for body in told.fake.bodies if "token_type_hint" in body))
    assert form == {"token": list(told.fake.access), "token_type_hint": ["access_token"]}


async def test_a_client_shows_itself_to_the_introspection_as_to_the_token_endpoint(
    tmp_path: Path,
) -> None:
    identity = named_by("introspection.domain")
    for auth_method, secret in (("body", "canary-client-secret-0123456789"), ("body", None)):
        dialect = runtime(identity=identity, client_auth=auth_method, secret=secret, **INTROSPECT)
        async with open_auth(tmp_path / str(secret), FakeProvider(dialect)) as auth:
            assert (await auth.connect()).account.name == "a1.example"


@pytest.mark.parametrize(
    "fault", [400, 401, 404, 429, 503, "unreachable", "lose", "garble", "inactive"]
)
async def test_an_introspection_that_fails_or_says_inactive_leaves_the_next_name(
    told: Auth, fault: str | int
) -> None:
    told.fake.faults[ASKED] = [fault]
    connection = await told.connect()
    assert (connection.status, connection.account.id, connection.account.name) == (
        "active",
        "a1",
        "Account a1",
    )
    assert told.fake.seen[ASKED] == 1
    assert [kind for kind, _ in await told.events()] == ["Connected"]


async def test_T11_a_failed_introspection_is_logged_without_the_token(told: Auth) -> None:
    log = StringIO()
    configure_logging("debug", "json", log)
    told.fake.faults[ASKED] = [503]
    await told.connect()
    assert "introspection_failed" in log.getvalue()
    assert "canary-" not in log.getvalue()


async def test_introspection_and_identity_call_are_under_way_together(told: Auth) -> None:
    callback = await told.come_back(await told.start())
    told.fake.gate.clear()
    finishing = asyncio.create_task(told.finish(callback))
    async with asyncio.timeout(PATIENCE_S):
        await told.fake.arrived("authorization_code")
        told.fake.gate.set()
        told.fake.gate.clear()
        await told.fake.arrived("whoami")
        await told.fake.arrived(ASKED)
        told.fake.gate.set()
        result = await finishing
    assert result.connection is not None
    assert result.connection.account.name == "a1.example"


@pytest.mark.parametrize(
    ("paths", "asked"),
    [
        (("identity.name",), 0),
        (("token.token_type", "introspection.domain"), 0),
        (("token.absent", "introspection.domain"), 1),
        (("identity.name", "introspection.domain"), 1),
    ],
)
async def test_an_introspection_is_only_asked_for_a_name_the_token_reply_does_not_tell(
    tmp_path: Path, paths: tuple[str, ...], asked: int
) -> None:
    async with open_auth(
        tmp_path, FakeProvider(runtime(identity=named_by(*paths), **INTROSPECT))
    ) as auth:
        assert (await auth.connect()).account.name
    assert auth.fake.seen[ASKED] == asked


async def test_a_provider_without_introspection_is_never_asked_for_one(tmp_path: Path) -> None:
    identity = named_by("introspection.domain", "identity.name")
    async with open_auth(tmp_path, FakeProvider(runtime(identity=identity))) as auth:
        assert (await auth.connect()).account.name == "Account a1"
    assert auth.fake.seen[ASKED] == 0


METERED = Identity(
    account_id=("identity.id",),
    account_name=("identity.name",),
    url="{api_url}/whoami",
    metered={"person": ("account.id",), "place": ("token.absent",), "kind": ("token.token_type",)},
)
IDS = {"person": "a1", "kind": "bearer "}


async def test_a_snapshot_has_the_ids_of_what_the_provider_meters(tmp_path: Path) -> None:
    async with open_auth(tmp_path, FakeProvider(runtime(identity=METERED))) as auth:
        connection = await auth.connect()
        assert connection.metered == IDS
        assert [snapshot.metered for _, snapshot in await auth.events()] == [IDS]


async def test_an_older_connection_learns_these_ids_at_its_next_refresh(tmp_path: Path) -> None:
    async with open_auth(tmp_path, FakeProvider(runtime(identity=METERED))) as auth:
        connection = await auth.connect()
        async with auth.context.database.write() as db:
            await db.execute(update(connections).values(metered={"place": "p"}))
        auth.clock.now += 3_600
        await auth.token(connection)
        kind, snapshot = (await auth.events())[-1]
    assert (kind, snapshot.metered) == ("Refreshed", {"place": "p", **IDS})

"""API keys over HTTP: who gets in, what they see, and what slows down a guesser."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from itertools import count
from types import FrameType
from typing import Any

import httpx
import pytest
import pytest_asyncio

from services.gateway.security.callers import Unauthorized, authenticate
from services.gateway.tests.locked import OTHER, OWN, Locked, bearer, prefix, running_locked
from services.gateway.tests.serving import ALLOWED
from services.gateway.throttle import FREE, Throttle
from shared.db import Database, Schema
from shared.settings import SecretStr

pytestmark = pytest.mark.asyncio(loop_scope="module")

COMPARING = (
    "gateway/security/callers.py",
    "gateway/security/keys.py",
    "gateway/security/queries.py",
    "shared/crypto/signing.py",
)
"""The files of all that is done with a key before it is right or wrong."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def tables(request: pytest.FixtureRequest) -> Mapping[str, Schema]:
    """Return the location of the gateway's tables; another one instead of the usual file."""
    if request.param == "sqlite":
        return {}
    return {
        "database": Schema(url=SecretStr(request.getfixturevalue("real_postgres")), name="gateway")
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def locked(
    tmp_path_factory: pytest.TempPathFactory, tables: Mapping[str, Schema]
) -> AsyncIterator[Locked]:
    async with running_locked(tmp_path_factory.mktemp("locked"), **tables) as locked:
        yield locked


def wrong(key: str) -> str:
    """Return a key with the same prefix and another secret."""
    return key[:-4] + ("AAAA" if key[-4:] != "AAAA" else "BBBB")


def body(answer: httpx.Response) -> dict[str, Any]:
    return {name: value for name, value in answer.json().items() if name != "request_id"}


async def test_a_key_that_is_missing_unknown_wrong_expired_or_revoked_gets_one_answer(
    locked: Locked,
) -> None:
    good = await locked.key()
    tried = [
        {},
        bearer("trb_000000000000_" + "0" * 40),
        bearer(wrong(good)),
        bearer(await locked.expired()),
        bearer(await locked.revoked()),
        bearer("nonsense"),
        {"authorization": good},
        {"authorization": "Basic dXNlcjpwYXNz"},
    ]
    answers = []
    for headers in tried:
        async with locked.somewhere() as http:
            answers.append(await http.get("/v1/connections", headers=headers))
    assert [answer.status_code for answer in answers] == [401] * len(tried)
    assert all(body(answer) == body(answers[0]) for answer in answers)
    assert all(
        answer.headers["www-authenticate"] == 'Bearer realm="tributary"' for answer in answers
    )
    assert answers[0].headers["content-type"] == "application/problem+json"


async def test_T09_a_key_sees_its_own_organisation_and_nothing_else(locked: Locked) -> None:
    for org, mine, theirs in ((OWN, locked.own, locked.other), (OTHER, locked.other, locked.own)):
        headers = bearer(await locked.key(org=org))
        async with locked.somewhere() as http:
            http.headers.update(headers)
            found = (await http.get("/v1/connections")).json()["connections"]
            assert {one["id"] for one in found} >= {mine.id}
            assert {one["org_id"] for one in found} == {org}
            items = (await http.get("/v1/items")).json()["items"]
            assert {one["connection_id"] for one in items} == {mine.id}
            for query in (f"org_id={theirs.org_id}", f"org_id={theirs.org_id}&user_id=demo"):
                none = await http.get(f"/v1/connections?{query}")
                assert none.json() == {"connections": [], "next_page_token": None}
            none = await http.get(f"/v1/items?org_id={theirs.org_id}")
            assert none.json() == {"items": [], "next_page_token": None, "stale": []}
            absent = await http.get("/v1/items?connection_id=absent")
            foreign = await http.get(f"/v1/items?connection_id={theirs.id}")
            assert (foreign.status_code, body(foreign)) == (404, body(absent))


async def test_T09_a_page_token_of_one_organisation_is_none_of_another(locked: Locked) -> None:
    async with locked.somewhere() as http:
        own = await http.get("/v1/items?page_size=1", headers=bearer(await locked.key()))
        token = own.json()["next_page_token"]
        params = {"page_size": "1", "page_token": token}
        answer = await http.get(
            "/v1/items", params=params, headers=bearer(await locked.key(org=OTHER))
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_token")
        assert (
            await http.get("/v1/items", params=params, headers=bearer(await locked.key()))
        ).status_code == 200


async def test_T09_what_another_organisation_does_not_see_it_does_not_end_or_load_either(
    locked: Locked,
) -> None:
    async with locked.somewhere() as http:
        http.headers.update(bearer(await locked.key("admin", org=OTHER)))
        assert (await http.delete(f"/v1/connections/{locked.own.id}")).status_code == 404
        assert (
            await http.post(f"/v1/connections/{locked.own.id}/syncs", json={})
        ).status_code == 404
        http.headers.update(bearer(await locked.key()))
        shown = (await http.get(f"/v1/connections/{locked.own.id}")).json()
    assert (shown["status"], shown["items"], shown["sync_id"]) == ("active", 2, locked.own.sync_id)


async def test_connecting_takes_the_organisation_from_the_key(locked: Locked) -> None:
    asked = {"provider": "notion", "user_id": "u"}
    async with locked.somewhere() as http:
        http.headers.update(bearer(await locked.key("write")))
        started = (await http.post("/v1/connect", json=asked)).json()
        assert locked.gateway.auth.flows[started["flow_id"]].org_id == OWN
        foreign = await http.post("/v1/connect", json={**asked, "org_id": OTHER})
        assert (foreign.status_code, foreign.json()["code"]) == (403, "foreign_org")


async def test_the_original_routes_take_their_own_organisation_only(locked: Locked) -> None:
    async with locked.somewhere() as http:
        http.headers.update(bearer(await locked.key("write")))
        handle = await http.post(
            "/integrations/notion/credentials", data={"user_id": "demo", "org_id": OWN}
        )
        assert handle.json()["provider"] == "notion"
        loaded = await http.post("/integrations/notion/load", data={"credentials": handle.text})
        assert {one["name"] for one in loaded.json()} == {"page Plan", "page Notes"}
        for path in ("authorize", "credentials", "load"):
            answer = await http.post(
                f"/integrations/notion/{path}", data={"user_id": "demo", "org_id": OTHER}
            )
            assert (answer.status_code, answer.json()["code"]) == (403, "foreign_org")
        http.headers.update(bearer(await locked.key("write", org=OTHER)))
        foreign = await http.post("/integrations/notion/load", data={"credentials": handle.text})
        assert (foreign.status_code, foreign.json()["code"]) == (400, "not_connected")


async def test_an_admin_makes_lists_and_revokes_the_keys_of_its_organisation(
    locked: Locked,
) -> None:
    async with locked.somewhere() as http:
        http.headers.update(bearer(await locked.key("admin")))
        made = await http.post(
            "/v1/keys", json={"scope": "write", "name": "Import", "expires_in_days": 7}
        )
        assert made.status_code == 201
        key, about = made.json()["key"], made.json()["about"]
        assert made.headers["location"] == f"/v1/keys/{about['prefix']}"
        assert (about["org_id"], about["scope"], about["status"]) == (OWN, "write", "active")
        assert (await http.get("/v1/items", headers=bearer(key))).status_code == 200
        listed = (await http.get("/v1/keys?page_size=200")).text
        assert about["prefix"] in listed
        assert key.split("_")[2] not in listed
        assert {one["org_id"] for one in (await http.get("/v1/keys")).json()["keys"]} == {OWN}
        for _ in range(2):
            ended = await http.delete(f"/v1/keys/{about['prefix']}")
            assert (ended.status_code, ended.json()["status"]) == (200, "revoked")
        assert (await http.get("/v1/items", headers=bearer(key))).status_code == 401


async def test_keys_are_read_page_by_page_and_a_token_belongs_to_its_organisation(
    locked: Locked,
) -> None:
    for _ in range(3):
        await locked.key()
    async with locked.somewhere() as http:
        http.headers.update(bearer(await locked.key("admin")))
        every = (await http.get("/v1/keys?page_size=200")).json()
        page = (await http.get("/v1/keys?page_size=2")).json()
        found, taken = list(page["keys"]), page["next_page_token"]
        while page["next_page_token"]:
            page = (
                await http.get(f"/v1/keys?page_size=2&page_token={page['next_page_token']}")
            ).json()
            assert len(page["keys"]) <= 2
            found += page["keys"]
        assert (found, every["next_page_token"]) == (every["keys"], None)
        other = bearer(await locked.key("admin", org=OTHER))
        refused = await http.get("/v1/keys", params={"page_token": taken}, headers=other)
        assert (refused.status_code, refused.json()["code"]) == (400, "bad_token")


@pytest.mark.parametrize(
    "extra", [{"org_id": OTHER}, {"prefix": "x"}, {"scope": "root"}, {"expires_in_days": 0}]
)
async def test_T10_an_admin_cannot_make_a_key_of_another_kind_or_organisation(
    locked: Locked, extra: dict[str, Any]
) -> None:
    async with locked.somewhere() as http:
        answer = await http.post("/v1/keys", json=extra, headers=bearer(await locked.key("admin")))
    assert answer.status_code == 400


async def test_a_key_says_when_it_was_used_last(locked: Locked) -> None:
    used, idle = await locked.key(), await locked.key()
    async with locked.somewhere() as http:
        await http.get("/v1/providers", headers=bearer(used))
        listed = await http.get("/v1/keys?page_size=200", headers=bearer(await locked.key("admin")))
    found = {one["prefix"]: one["last_used_at"] for one in listed.json()["keys"]}
    assert found[prefix(used)] is not None
    assert found[prefix(idle)] is None


async def calls_for(key: str, database: Database) -> list[str]:
    """Return what is called, in order, to find out that a key is wrong."""
    frames: list[FrameType] = []
    found: list[str] = []

    def note(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if not code.co_filename.endswith(COMPARING):
            return
        # A coroutine that goes on is another "call" of the same frame.
        if event == "call" and not any(known is frame for known in frames):
            frames.append(frame)
            found.append(code.co_name)
        elif event == "c_call":
            found.append(argument.__name__)

    sys.setprofile(note)
    try:
        await authenticate(key, address=None, throttle=Throttle(), database=database)
    except Unauthorized:
        return found
    finally:
        sys.setprofile(None)
    raise AssertionError("the key is right")


async def test_T31_how_wrong_a_key_is_changes_nothing_of_what_is_done(locked: Locked) -> None:
    good = await locked.key()
    tried = {
        "no such prefix": "trb_000000000000_" + good.split("_")[2],
        "first letter": f"{good[:17]}{'A' if good[17] != 'A' else 'B'}{good[18:]}",
        "last letter": f"{good[:-1]}{'A' if good[-1] != 'A' else 'B'}",
    }
    done = {name: await calls_for(key, locked.database) for name, key in tried.items()}
    expected = done["no such prefix"]
    assert done == dict.fromkeys(tried, expected)
    assert {"get_key", "hash_token", "compare_digest"} <= set(expected)


async def refusal(attempt: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Try a wrong key until that has to wait; return the refusal.

    Each failure doubles the wait, so it comes, however slow the machine is.
    """
    for _ in range(FREE):
        assert (await attempt()).status_code == 401
    answer = await attempt()
    for _ in range(10):
        if answer.status_code == 401:
            answer = await attempt()
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_failures")
    return answer


async def test_T32_guessing_is_slowed_down_by_address(locked: Locked) -> None:
    async with locked.somewhere() as http:
        guesses = (bearer(f"trb_{number:012}_{'0' * 40}") for number in count())
        refused = await refusal(lambda: http.get("/v1/items", headers=next(guesses)))
        assert int(refused.headers["retry-after"]) >= 1
        fresh = bearer(await locked.key())
        assert (await http.get("/v1/items", headers=fresh)).status_code == 200, (
            "who has a key is not held up by others"
        )
        assert (await http.get("/v1/items")).status_code == 401, "no key is no guess"
    async with locked.somewhere() as elsewhere:
        assert (await elsewhere.get("/v1/items", headers=bearer("one"))).status_code == 401


async def test_T32_guessing_one_key_is_slowed_down_from_everywhere_but_its_holder_works_on(
    locked: Locked,
) -> None:
    key = await locked.key()
    async with locked.somewhere() as holder:
        assert (await holder.get("/v1/items", headers=bearer(key))).status_code == 200

        async def elsewhere() -> httpx.Response:
            async with locked.somewhere() as http:
                return await http.get("/v1/items", headers=bearer(wrong(key)))

        await refusal(elsewhere)
        assert (await holder.get("/v1/items", headers=bearer(key))).status_code == 200


async def test_T44_a_header_does_not_make_another_address(locked: Locked) -> None:
    others = (f"203.0.113.{number}" for number in count())

    async with locked.somewhere() as http:

        async def attempt() -> httpx.Response:
            said = {"x-forwarded-for": next(others), "x-real-ip": next(others)}
            return await http.get("/v1/items", headers=bearer("guess") | said)

        await refusal(attempt)


async def test_no_key_is_ever_logged(locked: Locked, capsys: pytest.CaptureFixture[str]) -> None:
    good, revoked = await locked.key(), await locked.revoked()
    async with locked.somewhere() as http:
        for key in (good, revoked, wrong(good)):
            await http.get("/v1/items", headers=bearer(key))
            await http.post("/console/sign-in", data={"key": key}, headers=locked.here())
    said = "".join(capsys.readouterr())
    assert "/v1/items" in said
    assert not any(key.split("_")[2] in said for key in (good, revoked, wrong(good)))


async def test_T36_the_api_takes_a_session_from_our_own_pages_only(locked: Locked) -> None:
    cookie = await locked.session(await locked.key("write"))
    own = {"cookie": cookie, **locked.here()}
    sync, asked = locked.own.sync_id, {"provider": "notion", "user_id": "console"}
    async with locked.somewhere() as http:
        page = await http.get("/", headers={"cookie": cookie, "accept": "text/html"})
        csrf = page.text.partition('data-csrf="')[2].partition('"')[0]
        for headers in ({"cookie": cookie, "sec-fetch-site": "same-origin"}, {"cookie": cookie}):
            events = await http.get(f"/v1/syncs/{sync}/events", headers=headers)
            assert "event: done" in events.text
        for site in (
            {"origin": ALLOWED, "sec-fetch-site": "same-site"},
            {"sec-fetch-site": "cross-site"},
        ):
            answer = await http.get("/v1/items", headers={"cookie": cookie, **site})
            assert answer.status_code == 401
            script = {**site, "sec-fetch-mode": "cors", "accept": "text/html"}
            assert (await http.get("/", headers={"cookie": cookie, **script})).status_code == 403
        link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "accept": "text/html"}
        assert (await http.get("/", headers={"cookie": cookie, **link})).status_code == 200
        assert (
            await http.post("/v1/connect", json=asked, headers={"cookie": cookie})
        ).status_code == 401
        for token in ({}, {"x-csrf-token": csrf[::-1]}):
            refused = await http.post("/v1/connect", json=asked, headers={**own, **token})
            assert (refused.status_code, refused.json()["code"]) == (403, "csrf")
        begun = await http.post("/v1/connect", json=asked, headers={**own, "x-csrf-token": csrf})
        assert begun.status_code == 200
        wrong_key = await http.get("/v1/items", headers={**own, **bearer("nonsense")})
        assert wrong_key.status_code == 401, "a key that was sent is the one that counts"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/connections/a%00b", 404),
        ("DELETE", "/v1/connections/a%00b", 404),
        ("DELETE", "/v1/keys/a%00b", 404),
        ("GET", "/v1/syncs/a%00b/events", 404),
        ("GET", "/v1/items/a%00b/pages/1", 404),
        ("GET", "/v1/items?connection_id=%00", 400),
        ("GET", "/v1/connections?user_id=a%00", 400),
        ("POST", "/v1/connect", 400),
        ("POST", "/integrations/notion/credentials", 400),
        ("GET", "/console/items?q=%00&resource=%00", 200),
    ],
)
async def test_T19_a_zero_character_is_in_no_name_on_either_database(
    locked: Locked, method: str, path: str, status: int
) -> None:
    who, sent = {"org_id": OWN, "user_id": "a\0"}, dict[str, Any]()
    if method == "POST":
        sent = {"json": {"provider": "notion", **who}} if path == "/v1/connect" else {"data": who}
    async with locked.somewhere() as http:
        answer = await http.request(method, path, headers=bearer(await locked.key("admin")), **sent)
    assert answer.status_code == status

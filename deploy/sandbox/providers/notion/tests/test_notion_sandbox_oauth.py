"""The simulated Notion is as strict about consent, tokens and revocation as the real one."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.sandbox.providers.notion.tests.serving import (
    AUTHORIZE,
    BASIC,
    CLIENT,
    REDIRECT,
    VERSIONED,
    connected,
    consent,
    exchange,
    opened,
    serving,
    token,
)
from deploy.sandbox.world import World
from tests.support.waiting import PATIENCE_S

AUTHORIZE_PATH = "/v1/oauth/authorize"


async def me(http: httpx.AsyncClient, access_token: str) -> httpx.Response:
    return await http.get(
        "/v1/users/me", headers={"Authorization": f"Bearer {access_token}", **VERSIONED}
    )


async def refresh(http: httpx.AsyncClient, refresh_token: str) -> httpx.Response:
    return await token(http, {"grant_type": "refresh_token", "refresh_token": refresh_token})


async def test_a_consent_page_asks_and_says_that_it_is_simulated(world: World) -> None:
    async with serving(world) as base, httpx.AsyncClient(base_url=base, timeout=PATIENCE_S) as http:
        page = await http.get(AUTHORIZE_PATH, params=AUTHORIZE)
    assert page.status_code == 200
    assert "Simulated" in page.text
    assert "Orchard Studio" in page.text


async def test_a_consent_page_shows_the_id_that_the_token_reply_will_have(world: World) -> None:
    async with serving(world) as base, httpx.AsyncClient(base_url=base, timeout=PATIENCE_S) as http:
        page = await http.get(AUTHORIZE_PATH, params=AUTHORIZE)
        reply = (await exchange(http, (await consent(http))["code"])).json()
    assert f"<code>{reply['bot_id']}</code>" in page.text


async def test_an_unknown_app_or_redirect_uri_gets_an_error_page_and_no_redirect(
    world: World,
) -> None:
    wrong = [
        {"client_id": "other"},
        {"redirect_uri": f"{REDIRECT}/"},
        {"redirect_uri": "https://evil.test/"},
    ]
    async with serving(world) as base, httpx.AsyncClient(base_url=base, timeout=PATIENCE_S) as http:
        got = [await http.get(AUTHORIZE_PATH, params=AUTHORIZE | one) for one in wrong]
        sent = {"decision": "allow"}
        got += [await http.post(AUTHORIZE_PATH, params=AUTHORIZE | one, data=sent) for one in wrong]
    assert [(answer.status_code, "location" in answer.headers) for answer in got] == [
        (400, False)
    ] * 6
    assert {answer.headers["content-type"] for answer in got} == {"text/html; charset=utf-8"}
    assert not world.codes


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"owner": "workspace"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
    ],
)
async def test_another_wrong_parameter_is_told_to_the_app(
    world: World, wrong: dict[str, str], error: str
) -> None:
    async with serving(world) as base, httpx.AsyncClient(base_url=base, timeout=PATIENCE_S) as http:
        answer = await http.get(AUTHORIZE_PATH, params=AUTHORIZE | wrong)
    back = httpx.URL(answer.headers["location"])
    assert (answer.status_code, back.params["error"], back.params["state"]) == (302, error, "s&1")


async def test_a_denied_consent_brings_the_state_back_and_no_code(world: World) -> None:
    async with serving(world) as base, httpx.AsyncClient(base_url=base, timeout=PATIENCE_S) as http:
        assert await consent(http, decision="deny") == {"error": "access_denied", "state": "s&1"}


async def test_a_code_is_exchanged_once(world: World) -> None:
    async with serving(world) as base, httpx.AsyncClient(base_url=base, timeout=PATIENCE_S) as http:
        code = (await consent(http))["code"]
        first, second = await exchange(http, code), await exchange(http, code)
    reply = first.json()
    assert (reply["access_token"][:4], reply["refresh_token"][:4], reply["token_type"]) == (
        "ntn_",
        "nrt_",
        "bearer",
    )
    assert reply["workspace_name"] == "Orchard Studio"
    assert "expires_in" not in reply
    assert (second.status_code, second.json()["error"], second.json()["code"]) == (
        400,
        "invalid_grant",
        "invalid_grant",
    )


async def test_a_code_lives_ten_minutes(world: World) -> None:
    async with serving(world) as base, httpx.AsyncClient(base_url=base, timeout=PATIENCE_S) as http:
        code = (await consent(http))["code"]
        world.clock.advance(601)
        late = await exchange(http, code)
    assert (late.status_code, late.json()["error"]) == (400, "invalid_grant")


async def test_a_code_is_burnt_by_a_wrong_redirect_uri_but_not_by_a_stranger(world: World) -> None:
    async with serving(world) as base, httpx.AsyncClient(base_url=base, timeout=PATIENCE_S) as http:
        code = (await consent(http))["code"]
        body = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
        stranger = await http.post(
            "/v1/oauth/token", json=body, headers=VERSIONED, auth=(CLIENT.id, "guess")
        )
        wrong = await token(http, body | {"redirect_uri": "https://evil.test/"})
        again = await exchange(http, code)
    assert (stranger.status_code, stranger.json()["error"]) == (401, "invalid_client")
    assert [wrong.status_code, again.status_code] == [400, 400]


async def test_a_token_request_that_is_not_the_json_notion_wants_is_refused(world: World) -> None:
    as_json = {"Content-Type": "application/json"}
    table: list[tuple[dict[str, Any], str]] = [
        ({"json": {"grant_type": "password"}}, "invalid_request"),
        ({"json": {"grant_type": "authorization_code"}}, "invalid_request"),
        (
            {"json": {"grant_type": "authorization_code", "code": "x", "code_verifier": "y"}},
            "validation_error",
        ),
        ({"data": {"grant_type": "authorization_code", "code": "x"}}, "invalid_request"),
        ({"content": b"{", "headers": as_json}, "invalid_json"),
        ({"content": b"[" * 100_000, "headers": as_json}, "invalid_json"),
    ]
    async with serving(world) as base, httpx.AsyncClient(base_url=base, timeout=PATIENCE_S) as http:
        for sent, code in table:
            headers = {**sent.get("headers", {}), **BASIC, **VERSIONED}
            answer = await http.post("/v1/oauth/token", **{**sent, "headers": headers})
            assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_a_refresh_ends_the_old_pair_at_once(world: World) -> None:
    async with connected(world) as session:
        http, old = session.http, session.reply
        new = (await refresh(http, old["refresh_token"])).json()
        lost = await refresh(http, old["refresh_token"])
        old_access, new_access = (
            await me(http, old["access_token"]),
            await me(http, new["access_token"]),
        )
    assert new["bot_id"] == old["bot_id"]
    assert (lost.status_code, lost.json()["error"]) == (400, "invalid_grant")
    assert (old_access.status_code, old_access.json()["code"]) == (401, "unauthorized")
    assert (new_access.status_code, new_access.json()["id"]) == (200, new["bot_id"])


async def test_the_same_person_and_workspace_get_the_same_bot_and_another_workspace_another(
    world: World,
) -> None:
    other = world.add_account("Elsewhere", 3, {"users": 2})
    async with connected(world) as session:
        again = (await exchange(session.http, (await consent(session.http))["code"])).json()
        elsewhere = (
            await exchange(session.http, (await consent(session.http, account=other.id))["code"])
        ).json()
        still = await me(session.http, session.reply["access_token"])
    assert again["bot_id"] == session.reply["bot_id"]
    assert again["access_token"] != session.reply["access_token"]
    assert (elsewhere["bot_id"] != again["bot_id"], elsewhere["workspace_id"]) == (True, other.id)
    assert still.status_code == 200


async def test_revoking_the_access_token_ends_the_grant(world: World) -> None:
    async with connected(world) as session:
        http, pair = session.http, session.reply

        async def active(name: str) -> bool:
            sent = {"token": pair[name]}
            told = await http.post("/v1/oauth/introspect", json=sent, headers=BASIC | VERSIONED)
            return bool(told.json()["active"])

        before = await active("access_token"), await active("refresh_token")
        sent = {"token": pair["access_token"]}
        revoked = await http.post("/v1/oauth/revoke", json=sent, headers=BASIC | VERSIONED)
        after = await active("access_token"), await active("refresh_token")
        dead = [await me(http, pair["access_token"]), await refresh(http, pair["refresh_token"])]
    assert (revoked.status_code, set(revoked.json())) == (200, {"request_id"})
    assert (before, after) == ((True, True), (False, False))
    assert [answer.status_code for answer in dead] == [401, 400]


async def test_tokens_and_used_codes_survive_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as world:
        async with (
            serving(world) as base,
            httpx.AsyncClient(base_url=base, timeout=PATIENCE_S) as http,
        ):
            code = (await consent(http))["code"]
            pair = (await exchange(http, code)).json()
    with opened(tmp_path) as world:
        async with (
            serving(world) as base,
            httpx.AsyncClient(base_url=base, timeout=PATIENCE_S) as http,
        ):
            known, used = await me(http, pair["access_token"]), await exchange(http, code)
    assert [known.status_code, used.status_code] == [200, 400]

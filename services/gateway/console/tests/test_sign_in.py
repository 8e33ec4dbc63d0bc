"""The console of a gateway that asks for keys."""

from __future__ import annotations

import html
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from services.gateway.console.tests.rows import (
    add_connection,
    add_items,
    browsing,
    connection,
    opened_context,
    settings,
)
from services.gateway.context import GatewayContext
from services.gateway.security.callers import is_valid
from services.gateway.security.keys import create_key, revoke_key
from services.gateway.tests.locked import expire_keys, kept_sessions, leave_idle
from services.gateway.throttle import FREE
from shared.crypto import hash_token

HERE = {"origin": "http://localhost:8000", "sec-fetch-site": "same-origin"}
PAGE = {"accept": "text/html"}


@pytest.fixture
async def context(tmp_path: Path) -> AsyncIterator[GatewayContext]:
    async with opened_context(settings(tmp_path, keys_required=True)) as context:
        yield context


@pytest.fixture
async def http(context: GatewayContext) -> AsyncIterator[httpx.AsyncClient]:
    async with browsing(context, **PAGE) as http:
        yield http


async def key(context: GatewayContext, scope: str = "write", org: str = "acme") -> str:
    made = await create_key(org=org, scope=scope, name="Ada's laptop", database=context.database)
    return made.written.reveal()


async def sign_in(http: httpx.AsyncClient, text: str, **more: str) -> httpx.Response:
    return await http.post("/console/sign-in", data={"key": text, **more}, headers=HERE)


async def signed_in(http: httpx.AsyncClient, context: GatewayContext, scope: str = "write") -> str:
    """Create a key."""
    text = await key(context, scope)
    assert (await sign_in(http, text)).status_code == 303
    return text


def csrf(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


async def accounts(context: GatewayContext) -> None:
    """Store a connection of one of our users, and one of another organisation."""
    mine, theirs = (
        connection("c1", "notion", org_id="acme", user_id="ada"),
        connection("c2", "notion", org_id="other"),
    )
    for made in (mine, theirs):
        await add_connection(context, made)
        await add_items(context, made, "pages", {f"{made.id}-page": {}})


async def test_without_a_session_every_page_leads_to_the_sign_in_and_back(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    await accounts(context)
    for path, back in (
        ("/", None),
        ("/?q=plan&provider=notion", "/?q=plan&provider=notion"),
        ("/console/items/c1/pages/c1-page", "/console/items/c1/pages/c1-page"),
        ("/console/items?q=plan", "/?q=plan"),
        ("/console/cards", None),
    ):
        asked = await http.get(path)
        assert (asked.status_code, asked.text) == (303, "")
        page = await http.get(asked.headers["location"])
        assert page.status_code == 200
        assert f'name="next" value="{html.escape(back or "/")}"' in page.text
        signed = await sign_in(http, await key(context), next=back or "/")
        assert signed.headers["location"] == (back or "/")
        http.cookies.clear()


async def test_a_program_without_a_key_is_told_so_and_not_led_anywhere(
    http: httpx.AsyncClient,
) -> None:
    answer = await http.get("/", headers={"accept": "application/json"})
    assert answer.status_code == 401


async def test_the_page_shows_the_organisation_of_the_key_and_all_of_its_users(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    await accounts(context)
    text = await signed_in(http, context)
    page = (await http.get("/")).text
    assert "c1-page" in page
    assert "c2-page" not in page
    assert 'id="account-c2"' not in page
    assert "Organisation <code>acme</code>, signed in with the write key" in page
    assert text.split("_")[1] in page
    assert text.split("_")[2] not in page
    assert (await http.get("/console/items/c1/pages/c1-page")).status_code == 200
    foreign = await http.get("/console/items/c2/pages/c2-page")
    assert (foreign.status_code, foreign.text) == (
        404,
        (await http.get("/console/items/c3/pages/c2-page")).text,
    )


async def test_a_key_that_only_reads_sees_no_button_that_writes(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    await accounts(context)
    await signed_in(http, context, "read")
    page = await http.get("/")
    assert "c1-page" in page.text
    assert set(re.findall(r'action="([^"]+)"', page.text)) == {
        "/console/theme",
        "/console/sign-out",
        "/#items",
    }
    assert "/disconnect" not in page.text
    forged = {"provider": "notion", "csrf": csrf(page)}
    assert (await http.post("/console/connect", data=forged, headers=HERE)).status_code == 403
    assert (await http.get("/console/connections/c1/disconnect")).status_code == 403


async def test_T39_every_sign_in_gives_another_session_and_ends_the_one_before(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    text, held = await key(context), ["a-session-that-somebody-else-knows"]
    for _ in range(2):
        cookie = {**HERE, "cookie": f"tributary_session={held[-1]}"}
        await http.post("/console/sign-in", data={"key": text}, headers=cookie)
        held.append(http.cookies["tributary_session"])
        http.cookies.clear()
    planted, first, second = held
    assert len({*held}) == 3
    for token, status in ((planted, 303), (first, 303), (second, 200)):
        assert (
            await http.get("/", headers={"cookie": f"tributary_session={token}"})
        ).status_code == status
    assert [*await kept_sessions(context.database)] == [hash_token(second)], (
        "and only its digest is kept"
    )


async def test_T39_signing_out_ends_the_session_at_the_server(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    prefix = (await signed_in(http, context)).split("_")[1]
    token = http.cookies["tributary_session"]
    assert await is_valid(prefix, session=hash_token(token), database=context.database)
    page = await http.get("/")
    out = await http.post("/console/sign-out", data={"csrf": csrf(page)}, headers=HERE)
    assert (out.status_code, out.headers["location"]) == (303, "/console/sign-in")
    assert "tributary_session" not in http.cookies
    assert not await is_valid(prefix, session=hash_token(token), database=context.database), (
        "a stream of its goes on"
    )
    http.cookies.set("tributary_session", token)
    assert (await http.get("/")).status_code == 303


async def test_T39_a_session_ends_with_its_key(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    text = await signed_in(http, context)
    assert (await http.get("/")).status_code == 200
    await revoke_key(text.split("_")[1], org="acme", database=context.database)
    assert (await http.get("/")).status_code == 303
    assert "tributary_session" not in http.cookies, "and the browser forgets it"


@pytest.mark.parametrize(("hours", "status"), [(11.9, 200), (12.1, 303)])
async def test_T39_a_session_that_nobody_uses_for_twelve_hours_ends(
    http: httpx.AsyncClient, context: GatewayContext, hours: float, status: int
) -> None:
    await signed_in(http, context)
    await leave_idle(context.database, hours=hours)
    assert (await http.get("/")).status_code == status
    (used,) = (await kept_sessions(context.database)).values()
    assert (used > time.time() - 3_600) is (status == 200), "using it keeps it"


async def test_T36_a_form_needs_the_token_of_its_own_session(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    await accounts(context)
    await signed_in(http, context)
    old = csrf(await http.get("/"))
    http.cookies.clear()
    await signed_in(http, context)
    good = csrf(await http.get("/"))
    for sent in ({}, {"csrf": ""}, {"csrf": old}, {"csrf": good[:-1]}):
        for path in ("connections/c1/sync", "connections/c1/disconnect", "connect", "sign-out"):
            data = {**sent, "provider": "notion"} if path == "connect" else sent
            answer = await http.post(f"/console/{path}", data=data, headers=HERE)
            assert answer.status_code == 403, path
    again = await http.post("/console/connections/c1/sync", data={"csrf": good}, headers=HERE)
    assert (again.status_code, again.headers["location"]) == (303, "/#card-notion")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:3000", "sec-fetch-site": "same-site"},
    ],
)
async def test_T36_another_site_cannot_sign_anybody_in_or_act_for_who_is(
    http: httpx.AsyncClient, context: GatewayContext, headers: dict[str, str]
) -> None:
    text = await key(context)
    answer = await http.post("/console/sign-in", data={"key": text}, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    await signed_in(http, context)
    token = csrf(await http.get("/"))
    answer = await http.post("/console/sign-out", data={"csrf": token}, headers=headers)
    assert answer.status_code == 403
    assert (await http.get("/")).status_code == 200, "still signed in"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_T36_the_cookie_is_for_this_host_and_no_script(tmp_path: Path, scheme: str) -> None:
    public = f"{scheme}://localhost:8000"
    given = settings(tmp_path, public_url=public, keys_required=True)
    async with opened_context(given) as context, browsing(context, **PAGE) as http:
        form = {"key": await key(context)}
        made = await http.post("/console/sign-in", data=form, headers={"origin": public})
        cookie = made.headers["set-cookie"]
        # The client would keep a Secure cookie to itself: the proxy in front of us ends TLS.
        sent = {"cookie": cookie.partition(";")[0]}
        assert (await http.get("/", headers=sent)).status_code == 200
    name, _, rest = cookie.partition("=")
    assert name == ("__Host-tributary_session" if scheme == "https" else "tributary_session")
    attributes = set(rest.split("; ")[1:])
    assert attributes == {
        "Path=/",
        "HttpOnly",
        "SameSite=Lax",
        *(["Secure"] if scheme == "https" else []),
    }


async def test_a_wrong_key_is_said_on_the_page_and_never_repeated(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    text = await key(context)
    await revoke_key(text.split("_")[1], org=None, database=context.database)
    for wrong in (text, '"><script>', ""):
        answer = await sign_in(http, wrong, next="/docs")
        assert answer.status_code == 401
        assert "This key is not valid" in answer.text
        assert "set-cookie" not in answer.headers
        assert not wrong or wrong not in answer.text
        assert 'name="next" value="/docs"' in answer.text


async def test_T32_who_tries_keys_on_the_page_waits(http: httpx.AsyncClient) -> None:
    for _ in range(FREE):
        assert (await sign_in(http, "guess")).status_code == 401
    answer = await sign_in(http, "guess")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert "Try again in 1 second." in answer.text


async def test_T32_who_signs_in_is_let_in_whatever_others_of_the_address_try(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    text = await signed_in(http, context)
    for _ in range(FREE):
        await sign_in(http, "guess")
    assert (await sign_in(http, text)).status_code == 303
    assert (await http.get("/")).status_code == 200


async def test_T32_who_tries_sessions_waits(http: httpx.AsyncClient) -> None:
    for number in range(FREE):
        http.cookies.set("tributary_session", f"guess-{number}")
        assert (await http.get("/")).status_code == 303
    http.cookies.set("tributary_session", "one more")
    assert (await http.get("/")).status_code == 429


@pytest.mark.parametrize(
    "back", ["//evil.example", "https://evil.example/", "/\\evil", "javascript:a"]
)
async def test_T07_signing_in_leads_nowhere_else(
    http: httpx.AsyncClient, context: GatewayContext, back: str
) -> None:
    assert (await sign_in(http, await key(context), next=back)).headers["location"] == "/"


async def test_where_no_keys_are_needed_there_is_nothing_to_sign_in_to(tmp_path: Path) -> None:
    async with opened_context(settings(tmp_path)) as context, browsing(context, **PAGE) as http:
        page = (await http.get("/")).text
        assert "Sign out" not in page
        assert "csrf" not in page
        for answer in (await http.get("/console/sign-in"), await sign_in(http, "anything")):
            assert (answer.status_code, answer.headers["location"]) == (303, "/")
            assert "set-cookie" not in answer.headers


async def test_T39_a_session_ends_when_its_key_expires(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    await signed_in(http, context)
    await expire_keys(context.database)
    assert (await http.get("/")).status_code == 303

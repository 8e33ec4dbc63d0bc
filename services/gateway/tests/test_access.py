"""Every route against every kind of caller, in one table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from litestar import Litestar
from litestar.routes import HTTPRoute

from services.gateway.app import create_app
from services.gateway.security.permissions import PART, PERMISSIONS
from services.gateway.tests.locked import OTHER, OWN, Locked, bearer, prefix, running_locked
from services.gateway.tests.serving import settings_for

CALLERS = ("anonymous", "revoked", "expired", "read", "write", "admin", "other")
"""The callers.

``expired`` is a browser whose session nobody used for 13 hours; ``other`` is an admin of another
organisation.
"""
EXPECTED = {
    "GET /health/live": "200 200 200 200 200 200 200",
    "GET /health/ready": "200 200 200 200 200 200 200",
    "GET /docs": "200 200 200 200 200 200 200",
    "GET /schema": "200 200 200 200 200 200 200",
    "GET /schema/openapi.json": "200 200 200 200 200 200 200",
    "GET /events": "200 200 200 200 200 200 200",
    "GET /events/asyncapi.json": "200 200 200 200 200 200 200",
    "GET /favicon.ico": "200 200 200 200 200 200 200",
    "GET /connect/{flow_id}": "302 302 302 302 302 302 302",
    "GET /integrations/{provider}/oauth2callback": "400 400 400 400 400 400 400",
    "GET /v1/dead-letters": "401 401 401 403 403 200 200",
    "GET /v1/dead-letters/{dead_letter_id}": "401 401 401 403 403 404 404",
    "POST /v1/dead-letters/{dead_letter_id}/replay": "401 401 401 403 403 404 404",
    "POST /integrations/{provider}/authorize": "401 401 401 403 200 200 403",
    "POST /integrations/{provider}/credentials": "401 401 401 200 200 200 403",
    "POST /integrations/{provider}/load": "401 401 401 403 400 400 403",
    "GET /metrics": "401 401 401 403 403 200 200",
    "GET /v1": "401 401 401 200 200 200 200",
    "GET /v1/version": "401 401 401 200 200 200 200",
    "GET /v1/providers": "401 401 401 200 200 200 200",
    "POST /v1/connect": "401 401 401 403 200 200 403",
    "GET /v1/connect/{flow_id}": "401 401 401 200 200 200 404",
    "GET /v1/connections": "401 401 401 200 200 200 200",
    "GET /v1/connections/{connection_id}": "401 401 401 200 200 200 404",
    "DELETE /v1/connections/{connection_id}": "401 401 401 403 200 200 404",
    "POST /v1/connections/{connection_id}/syncs": "401 401 401 403 202 202 404",
    "POST /v1/syncs/{sync_id}/retry": "401 401 401 403 409 409 404",
    f"POST {PART}/confirm-deletions": "401 401 401 403 404 404 404",
    f"DELETE {PART}": "401 401 401 403 404 404 404",
    "GET /v1/syncs/{sync_id}": "401 401 401 200 200 200 404",
    "GET /v1/syncs/{sync_id}/events": "401 401 401 200 200 200 404",
    "GET /v1/items": "401 401 401 200 200 200 200",
    "GET /v1/items/{connection_id}/{resource}/{item_id}": "401 401 401 200 200 200 404",
    "POST /v1/items/refetch": "401 401 401 403 404 404 404",
    "GET /v1/keys": "401 401 401 403 403 200 200",
    "POST /v1/keys": "401 401 401 403 403 201 201",
    "DELETE /v1/keys/{prefix}": "401 401 401 403 403 200 404",
    "GET /": "303 401 303 200 200 200 200",
    "GET /console/cards": "303 401 303 200 200 200 200",
    "GET /console/items": "303 401 303 200 200 200 200",
    "GET /console/items/{connection}/{resource}/{id_}": "303 401 303 200 200 200 404",
    "GET /console/connections/{id_}/disconnect": "303 401 303 403 200 200 404",
    "GET /console/connect/{flow_id}": "303 401 303 403 200 200 404",
    "POST /console/connect": "303 401 303 403 303 303 303",
    "POST /console/connections/{id_}/sync": "303 401 303 403 303 303 404",
    "POST /console/connections/{id_}/disconnect": "303 401 303 403 303 404 404",
    "POST /console/connections/{id_}/parts": "303 401 303 403 404 404 404",
    "POST /console/connections/{id_}/retry": "303 401 303 403 409 409 404",
    "POST /console/theme": "303 303 303 303 303 303 303",
    "GET /console/sign-in": "200 200 200 200 200 200 200",
    "POST /console/sign-in": "303 303 303 303 303 303 303",
    "POST /console/sign-out": "303 401 303 303 303 303 303",
    "GET /console/static/{name}": "200 200 200 200 200 200 200",
}
ENDS = {"DELETE /v1/connections/{connection_id}", "POST /console/connections/{id_}/disconnect"}
"""Routes that end the connection: after the first success, the console no longer knows it."""
WORDS = {
    "name": "start.js",
    "path": "x",
    "provider": "notion",
    "resource": "pages",
    "item_id": "1",
    "part": "data-source",
    "dead_letter_id": "none",
}
ABSENT = "0" * 32


def routes(folder: Path) -> set[str]:
    """Return method and path of all the gateway's routes, read off its router."""
    app: Any = create_app(
        settings_for(folder, "127.0.0.1:9", "http://127.0.0.1:9", "http://localhost:8000")
    )
    while not isinstance(app, Litestar):
        app = app.app
    found = [route for route in app.routes if isinstance(route, HTTPRoute)]
    return {
        f"{method} {one.path_format}"
        for one in found
        for method in one.methods
        if method != "OPTIONS"
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def locked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Locked]:
    async with running_locked(tmp_path_factory.mktemp("locked")) as locked:
        yield locked


def test_S3_every_route_has_an_expectation(tmp_path: Path) -> None:
    assert routes(tmp_path) - EXPECTED.keys() == set(), (
        "say who may call it, here and in services/gateway/security/permissions.py"
    )


def test_S3_every_route_says_what_it_needs(tmp_path: Path) -> None:
    known = routes(tmp_path)
    assert known == PERMISSIONS.keys()


@pytest.mark.asyncio(loop_scope="module")
async def test_the_example_calls_of_the_documentation_have_a_key(locked: Locked) -> None:
    async with locked.somewhere() as http:
        page = (await http.get("/docs")).text
    assert "Authorization: Bearer $KEY" in page


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("route", sorted(EXPECTED))
async def test_S3_T09_who_may_call_a_route(locked: Locked, route: str) -> None:
    method, _, template = route.partition(" ")
    known, everyone = await names(locked, ends=route in ENDS), await callers(locked)
    found = {}
    async with locked.somewhere() as http:
        for caller, headers in everyone.items():
            found[caller] = await call(http, method, filled(template, known), known, headers)
        expected = dict(zip(CALLERS, map(int, EXPECTED[route].split()), strict=True))
        assert {caller: answer.status_code for caller, answer in found.items()} == expected
        for answer in found.values():
            if answer.status_code == 401:
                assert answer.headers["www-authenticate"] == 'Bearer realm="tributary"'
            if answer.status_code == 303 and method == "GET":
                assert answer.headers["location"].startswith("/console/sign-in")
        if found["other"].status_code == 404:
            nowhere = filled(template, dict.fromkeys(known, ABSENT))
            absent = await call(http, method, nowhere, known, everyone["other"])
            assert same_but_for_names(found["other"], known) == same_but_for_names(absent, known)


async def callers(locked: Locked) -> dict[str, dict[str, str]]:
    cookie = await locked.session(await locked.key("admin"))
    await locked.idle(cookie, hours=13)
    found = {scope: bearer(await locked.key(scope)) for scope in ("read", "write", "admin")}
    return {
        "anonymous": {},
        "revoked": bearer(await locked.revoked()),
        "expired": {"cookie": cookie},
        **found,
        "other": bearer(await locked.key("admin", org=OTHER)),
    }


async def names(locked: Locked, *, ends: bool) -> dict[str, str]:
    """Return the ids of the own organisation's things, by their names in paths."""
    key = await locked.key("admin")
    body = {"provider": "notion", "org_id": OWN, "user_id": "ends" if ends else "demo"}
    async with locked.somewhere() as http:
        flow = (await http.post("/v1/connect", json=body, headers=bearer(key))).json()["flow_id"]
    id_ = locked.own.id
    if ends:
        assert (await locked.gateway.come_back(flow, "notion", code=flow)).status_code == 200
        id_ = max(locked.gateway.auth.connections)
    ids = {
        "connection_id": id_,
        "connection": id_,
        "id_": id_,
        "flow_id": flow,
        "prefix": prefix(key),
    }
    return {**ids, "sync_id": locked.own.sync_id or "", "key": key}


def filled(template: str, known: dict[str, str]) -> str:
    words = {**WORDS, **known}
    if template.startswith("/console/items/"):
        words["id_"] = "1"
    if template.startswith("/console/static"):
        words["name"] = "console.js"
    return template.format_map(words)


async def call(
    http: httpx.AsyncClient, method: str, path: str, known: dict[str, str], headers: dict[str, str]
) -> httpx.Response:
    """Call a route as a program, or a console page as a browser, with a valid body."""
    who = {"org_id": OWN, "user_id": "demo" if "credentials" in path else "nobody"}
    sent: dict[str, Any] = {}
    bodies = {
        "/v1/connect": {"provider": "notion", **who},
        "/v1/keys": {},
        "/v1/items/refetch": {"connection_id": "none", "resource": "pages", "ids": ["p1"]},
    }
    if method == "POST" and path in bodies:
        sent["json"] = bodies[path]
    elif path.startswith("/integrations/") and method == "POST":
        sent["data"] = who
    elif path == "/console/sign-in" and method == "POST":
        sent["data"] = {"key": known["key"]}
    elif path in {"/console/connect", "/console/theme"}:
        sent["data"] = {"provider": "notion"} if path.endswith("connect") else {"theme": "dark"}
    elif path.endswith("/parts"):
        sent["data"] = {"order": "remove", "resource": "pages", "part": "data-source"}
    if path == "/" or path.startswith("/console/"):
        origin = f"http://{http.headers['host']}"
        headers = {
            **headers,
            "accept": "text/html",
            "origin": origin,
            "sec-fetch-site": "same-origin",
        }
    return await http.request(method, path, headers=headers, **sent)


def same_but_for_names(answer: httpx.Response, known: dict[str, str]) -> tuple[int, str]:
    """Remove what differs between any two requests with different ids."""
    text = answer.text.replace(answer.headers["x-request-id"], "<request>")
    for name in (*known.values(), ABSENT):
        text = text.replace(name, "<id>") if name else text
    return answer.status_code, text

"""Refusals before any route is reached, and names that are not known: whole problems each."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import httpx
import pytest

from services.gateway.tests.serving import Gateway, is_problem

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("request_line", "headers", "status", "code"),
    [
        ("GET /v1/items", {"host": "evil.example"}, 421, "wrong_host"),
        ("GET /v1/items", {"host": ""}, 421, "wrong_host"),
        ("GET /v1/items", {"origin": "http://evil.example"}, 403, "foreign_origin"),
        ("POST /v1/connect", {"content-encoding": "gzip"}, 415, "unsupported_encoding"),
        ("POST /v1/connect", {"content-length": "3000000"}, 413, "too_large"),
        ("GET /v1/a%00b", {}, 404, "not_found"),
        ("GET /nothing", {}, 404, "not_found"),
        ("OPTIONS *", {}, 404, "not_found"),
        ("PUT /v1/items", {}, 405, "method_not_allowed"),
        ("FOO /v1/items", {}, 405, "method_not_allowed"),
        ("GET /v1/items?q=%FF", {}, 400, "bad_query"),
        ("POST /v1/connect", {}, 400, "bad_request"),
    ],
)
async def test_every_early_refusal_is_a_whole_problem(
    api: Gateway, request_line: str, headers: dict[str, str], status: int, code: str
) -> None:
    method, _, target = request_line.partition(" ")
    answer = await sent_as_it_is(api, method, target, headers)
    is_problem(answer, status, code)
    assert answer.json()["instance"] == target.partition("?")[0].replace("*", "%2A")


async def sent_as_it_is(
    api: Gateway, method: str, target: str, headers: dict[str, str]
) -> httpx.Response:
    """Send exactly this, which a client library might complete or refuse; return the answer."""
    place = urlsplit(api.url)
    lines = [f"{name}: {value}" for name, value in {"host": place.netloc, **headers}.items()]
    text = "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "connection: close", "", ""])
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(text.encode())
    # Where the body is announced and missing, the server answers without waiting for it.
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    status, *pairs = head.decode().split("\r\n")
    named = dict(pair.split(": ", 1) for pair in pairs)
    return httpx.Response(int(status.split()[1]), headers=named, content=body)


async def test_what_is_not_http_gets_a_plain_400_from_the_server(api: Gateway) -> None:
    answer = await sent_as_it_is(api, "no", "two words", {})
    assert (answer.status_code, answer.headers["content-type"]) == (
        400,
        "text/plain; charset=utf-8",
    )


@pytest.mark.parametrize(
    ("asked", "detail", "where"),
    [
        (
            "GET /v1/items?provider=salesforce",
            "`salesforce` is not a provider here. Known: ",
            {"parameter": "provider"},
        ),
        (
            "GET /v1/connections?provider=salesforce",
            "`salesforce` is not a provider here. Known: ",
            {"parameter": "provider"},
        ),
        (
            "GET /v1/items?provider=notion&resource=deals",
            "`deals` is not a resource of Notion. Known: pages, data_sources, users.",
            {"parameter": "resource"},
        ),
        (
            "GET /v1/items?resource=leads",
            "`leads` is not a resource. Known: ",
            {"parameter": "resource"},
        ),
        (
            "POST /v1/connect",
            "`salesforce` is not a provider here. Known: ",
            {"pointer": "/provider"},
        ),
    ],
)
async def test_a_name_that_is_not_known_is_repeated_with_its_place(
    api: Gateway, asked: str, detail: str, where: dict[str, str]
) -> None:
    body = (
        {"provider": "salesforce", "org_id": "o", "user_id": "u"}
        if asked.startswith("POST")
        else None
    )
    answer = await api.http.request(*asked.split(), json=body)
    is_problem(answer, 400)
    assert answer.json()["detail"].startswith(detail)
    assert answer.json()["errors"] == [{"detail": answer.json()["detail"], **where}]


async def test_a_mode_that_is_not_known_is_repeated_with_its_place(api: Gateway) -> None:
    answer = await api.http.post("/v1/connections/any/syncs", json={"mode": "fast"})
    is_problem(answer, 400, "unknown_mode")
    (error,) = answer.json()["errors"]
    assert error == {"detail": "`fast` is not a mode. The only one is full.", "pointer": "/mode"}

"""The public door: who may call, and what errors look like."""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path

import pytest

from services.gateway.tests.serving import ALLOWED, Gateway, is_problem
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="module")
RELEASE = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))[
    "project"
]["version"]
CONNECT = {"provider": "notion", "org_id": "o", "user_id": "u"}
FIELDS = "provider and user_id, and optionally org_id and return_url"
BODY = f"This request needs a JSON body: an object with {FIELDS}"
ORIGINS = [
    "null",
    "http://localhost:3000.evil.example",
    "http://localhost:30000",
    "https://localhost:3000",
    "http://localhost",
    "http://evil.example",
    "HTTP://LOCALHOST:3000",
    "http://localhost:3000/",
    "http://localhost:3000, http://evil.example",
    "",
]


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/connections"), ("POST", "/v1/connect"), ("OPTIONS", "/v1/items")],
)
async def test_T35_a_foreign_origin_is_refused_and_gets_no_cors_headers(
    api: Gateway, origin: str, method: str, path: str
) -> None:
    answer = await api.http.request(
        method, path, headers={"origin": origin, "access-control-request-method": "POST"}
    )
    is_problem(answer, 403, "foreign_origin")
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["vary"] == "Origin"


async def test_T35_two_origins_are_refused(api: Gateway) -> None:
    answer = await api.http.get(
        "/v1/connections", headers=[("origin", ALLOWED), ("origin", ALLOWED)]
    )
    is_problem(answer, 403)
    twice = await api.http.get(
        "/v1/connections", headers=[("origin", api.url), ("origin", api.url)]
    )
    is_problem(twice, 403)


async def test_an_allowed_origin_is_answered_by_name_also_when_it_goes_wrong(api: Gateway) -> None:
    for path in (
        "/v1/connections",
        "/v1/nothing",
        "/v1/items?page_size=0",
        "/nothing",
        "/integrations/x/load",
    ):
        answer = await api.http.get(path, headers={"origin": ALLOWED})
        assert answer.headers["access-control-allow-origin"] == ALLOWED
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert "Origin" in answer.headers["vary"]


async def test_a_preflight_of_an_allowed_origin_is_answered(api: Gateway) -> None:
    answer = await api.http.options(
        "/v1/connect",
        headers={
            "origin": ALLOWED,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type",
        },
    )
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-headers"] == "content-type"
    assert "POST" in answer.headers["access-control-allow-methods"]


async def test_our_own_pages_may_call(api: Gateway) -> None:
    for own in (api.url, api.url.replace("localhost", "127.0.0.1")):
        assert (await api.http.get("/v1/connections", headers={"origin": own})).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "169.254.169.254", ""])
async def test_T43_a_host_that_is_not_ours_is_refused(api: Gateway, host: str) -> None:
    answer = await api.http.get("/v1/providers", headers={"host": host})
    assert answer.status_code in {400, 421}


async def test_T43_addresses_come_from_the_settings_whatever_the_headers_say(api: Gateway) -> None:
    spoofed = {
        "x-forwarded-host": "evil.example",
        "x-forwarded-proto": "https",
        "forwarded": "host=evil.example",
    }
    answer = await api.http.post(
        "/v1/connect", json=CONNECT, headers={**spoofed, "host": "127.0.0.1"}
    )
    assert answer.json()["authorize_url"].startswith(f"{api.url}/connect/")


async def test_T10_a_field_that_is_not_asked_for_is_refused(api: Gateway) -> None:
    for extra in ({"status": "active"}, {"role": "admin"}, {"return_url": None, "id": "x"}):
        answer = await api.http.post("/v1/connect", json={**CONNECT, **extra})
        is_problem(answer, 400)
        assert "is not a field of this request" in answer.json()["errors"][0]["detail"]
    connection = await api.connect("notion", user="t10")
    is_problem(
        await api.http.post(f"/v1/connections/{connection.id}/syncs", json={"org_id": "other"}), 400
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"provider": NaN}',
        b'{"provider": 7, "org_id": "o", "user_id": "u"}',
        b'{"provider": "notion", "org_id": "", "user_id": "u"}',
        b'{"provider": "notion", "org_id": "\\ud800", "user_id": "u"}',
        b'{"provider": "nobody", "org_id": "o", "user_id": "u"}',
        b'{"provider": "notion", "org_id": "' + b"o" * 300 + b'", "user_id": "u"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"provider": "notion", "org_id": "o", "user_id": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    ],
)
async def test_T19_a_body_that_cannot_be_read_is_the_callers_error(
    api: Gateway, body: bytes
) -> None:
    is_problem(
        await api.http.post(
            "/v1/connect", content=body, headers={"content-type": "application/json"}
        ),
        400,
    )


async def test_T19_a_huge_body_is_refused_announced_or_not(api: Gateway) -> None:
    huge = b'{"provider": "' + b"x" * 2_000_000 + b'"}'

    async def chunks() -> object:
        for start in range(0, len(huge), 65_536):
            yield huge[start : start + 65_536]

    for content in (huge, chunks()):
        answer = await api.http.post("/v1/connect", content=content)  # type: ignore[arg-type]
        is_problem(answer, 413, "too_large")
    form = await api.http.post("/integrations/notion/load", data={"credentials": "x" * 2_000_000})
    assert (form.status_code, isinstance(form.json()["detail"], str)) == (413, True)


async def test_T20_a_compressed_body_is_refused(api: Gateway) -> None:
    for coding in ("gzip", "br", "deflate, gzip"):
        answer = await api.http.post(
            "/v1/connect", content=b"\x1f\x8b", headers={"content-encoding": coding}
        )
        is_problem(answer, 415, "unsupported_encoding")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/nothing", 404, "not_found"),
        ("/v1/connections/none", 404, "not_found"),
        ("/v1/syncs/none", 404, "not_found"),
        ("/v1/syncs/none/events", 404, "not_found"),
        ("/v1/items/none/pages/none", 404, "not_found"),
        ("/v1/items?connection_id=none", 404, "not_found"),
        ("/v1/items?provider=none", 400, "unknown_provider"),
        ("/v1/items?resource=none", 400, "unknown_resource"),
        ("/v1/items?provider=notion&resource=contacts", 400, "unknown_resource"),
        ("/v1/items?synced_since=yesterday", 400, "bad_time"),
        ("/v1/items?synced_since=2026-13-01T00:00:00Z", 400, "bad_time"),
        ("/v1/items?limit=5", 400, "unknown_parameter"),
        ("/v1/items?context=5", 400, "unknown_parameter"),
        ("/v1/items?q=a&q=b", 400, "repeated_parameter"),
        ("/v1/connections?provider=none", 400, "unknown_provider"),
        ("/v1/connections?page=2", 400, "unknown_parameter"),
        ("/v1/providers?x=", 400, "unknown_parameter"),
        ("/v1/items?page_token=AAAA", 400, "bad_token"),
        ("/v1/items?q=a%00b", 400, "bad_search"),
        ("/v1/items?q=%1b%5B31m", 400, "bad_search"),
        ("/v1/items?q=%C2%85", 400, "bad_search"),
        ("/v1/items?q=%FF", 400, "bad_query"),
        ("/v1/connections?org_id=%C3%28", 400, "bad_query"),
        ("/v1/providers?%FF", 400, "bad_query"),
    ],
)
async def test_what_is_not_known_is_refused(
    api: Gateway, path: str, status: int, code: str
) -> None:
    is_problem(await api.http.get(path), status, code)


@pytest.mark.parametrize(
    "size", ["0", "-1", "201", "1000000000", "1e9", "ten", "", "9" * 400, "2.5", "0x10"]
)
async def test_T41_a_page_size_out_of_range_is_refused_and_never_clamped(
    api: Gateway, size: str
) -> None:
    answer = await api.http.get("/v1/items", params={"page_size": size})
    is_problem(answer, 400)
    assert "page_size" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("asked", "body", "detail", "pointer"),
    [
        (
            "GET /v1/items?page_size=1000000000",
            b"",
            "`page_size` must be 1 to 200; 1000000000 is not.",
            None,
        ),
        ("GET /v1/items?page_size=", b"", "`page_size` must be 1 to 200; nothing is not.", None),
        ("POST /v1/connect", b"", f"{BODY}.", None),
        ("POST /v1/connect", b"[]", f"{BODY}; a list was sent.", None),
        (
            "POST /v1/connect",
            b"{",
            "The request body is not valid JSON. Send a JSON object in UTF-8; /docs ",
            None,
        ),
        (
            "POST /v1/connect",
            b"{}",
            f"`provider` is missing; this request takes {FIELDS}.",
            "/provider",
        ),
        (
            "POST /v1/connect",
            b'{"provider": "notion", "org_id": "o", "user_id": "u", "color": 1}',
            f"`color` is not a field of this request; it takes {FIELDS}.",
            "/color",
        ),
        (
            "POST /v1/connect",
            b'{"provider": "notion", "org_id": "o", "user_id": "u", "a/b~c": 1}',
            "`a/b~c` is not a field of this request; it takes ",
            "/a~1b~0c",
        ),
        (
            "POST /v1/connect",
            b'{"provider": 7}',
            "`provider` must be a text; a whole number was sent.",
            "/provider",
        ),
        (
            "POST /v1/connections/c/syncs",
            b'{"resources": [1]}',
            "`resources[0]` must be a text",
            "/resources/0",
        ),
    ],
)
async def test_what_is_wrong_is_said_in_words_with_what_would_be_right(
    api: Gateway, asked: str, body: bytes, detail: str, pointer: str | None
) -> None:
    answer = await api.http.request(*asked.split(), content=body)
    is_problem(answer, 400)
    assert answer.json()["detail"].startswith(detail)
    assert not pointer or answer.json()["errors"][0]["pointer"] == pointer


async def test_a_content_type_names_its_charset_once(api: Gateway) -> None:
    for path in ("/", "/docs", "/events", "/console/static/console.css"):
        answer = await api.http.get(path, headers={"accept": "text/html"})
        assert answer.status_code == 200
        assert answer.headers["content-type"].count("charset=utf-8") == 1


async def test_a_method_that_is_not_there_is_a_problem(api: Gateway) -> None:
    is_problem(await api.http.put("/v1/connections", json={}), 405, "method_not_allowed")
    original = await api.http.get("/integrations/notion/load")
    assert (original.status_code, isinstance(original.json()["detail"], str)) == (405, True)


async def test_T37_no_answer_can_be_framed_or_sniffed(api: Gateway) -> None:
    for path in (
        "/",
        "/docs",
        "/events",
        "/v1/providers",
        "/connect/none",
        "/integrations/notion/oauth2callback",
    ):
        headers = (await api.http.get(path, headers={"accept": "text/html"})).headers
        assert headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe-eval" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] in {"no-referrer", "same-origin"}


async def test_T42_a_newline_in_an_address_stays_in_one_log_line(
    api: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    await api.http.get("/v1/connections/a%0A%1b[31mforged")
    assert "\n\x1b[31mforged" not in capsys.readouterr().out


READ = (
    "/health/live",
    "/health/ready",
    "/metrics",
    "/",
    "/docs",
    "/events",
    "/events/asyncapi.json",
    "/schema/openapi.json",
    "/console/items",
    "/console/static/console.css",
    "/favicon.ico",
    "/v1",
    "/v1/version",
    "/v1/providers",
    "/v1/connections",
    "/v1/items?page_size=1",
    "/v1/items/none/pages/1",
    "/v1/syncs/none",
    "/v1/nothing",
    "/v1/items?page_size=0",
    "/connect/none",
)


async def test_the_version_is_the_packages(api: Gateway) -> None:
    answer = (await api.http.get("/v1/version")).json()
    assert answer == {"name": "Tributary", "version": RELEASE, "api_version": "v1"}
    assert (await api.http.get("/schema/openapi.json")).json()["info"]["version"] == RELEASE


@pytest.mark.parametrize("path", READ)
async def test_head_answers_what_get_does_without_the_body(api: Gateway, path: str) -> None:
    read, head = await api.http.get(path), await api.http.head(path)
    assert head.status_code == read.status_code
    changing = {
        "x-request-id",
        "date",
        *(["content-length"] if path in {"/metrics", "/health/ready"} else []),
    }
    told, shown = ({*one.headers.items()} for one in (head, read))
    assert {name for name, _ in told ^ shown} <= changing
    assert head.content == b""


async def test_head_of_a_stream_ends(api: Gateway) -> None:
    connection = await api.connect("notion", user="head")
    async with asyncio.timeout(PATIENCE_S):
        head = await api.http.head(f"/v1/syncs/{connection.sync_id}/events")
    assert (head.status_code, head.headers["content-type"]) == (
        200,
        "text/event-stream; charset=utf-8",
    )


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/connections", "GET, HEAD, OPTIONS"),
        ("/v1/connections/x", "DELETE, GET, HEAD, OPTIONS"),
        ("/v1/connect", "OPTIONS, POST"),
        ("/v1/keys", "GET, HEAD, OPTIONS, POST"),
        ("/v1/items/a/b/c/d", "GET, HEAD, OPTIONS"),
        ("/connect/x", "GET, HEAD, OPTIONS"),
        ("/integrations/notion/oauth2callback", "GET, HEAD, OPTIONS"),
        ("/integrations/notion/load", "OPTIONS, POST"),
        ("/health/live", "GET, HEAD, OPTIONS"),
        ("/console/sign-in", "GET, HEAD, OPTIONS, POST"),
        ("/", "GET, HEAD, OPTIONS"),
        ("/v1/items?q=x&q=y", "GET, HEAD, OPTIONS"),
        ("/v1/items?nonsense=%ff", "GET, HEAD, OPTIONS"),
    ],
)
async def test_every_method_of_an_address_is_named_when_asked_for_and_when_another_is_refused(
    api: Gateway, path: str, allowed: str
) -> None:
    told, refused = await api.http.options(path), await api.http.put(path)
    assert (told.status_code, told.headers["allow"]) == (204, allowed)
    assert (refused.status_code, refused.headers["allow"]) == (405, allowed)

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.auth.tests.serving import BEARER, open_door
from tests.support.waiting import PATIENCE_S

FLOW = {"provider": "acme", "org_id": "o1", "user_id": "u1"}


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client that knows the service secret."""
    async with (
        open_door(tmp_path) as url,
        httpx.AsyncClient(base_url=url, headers=BEARER, timeout=PATIENCE_S) as client,
    ):
        yield client


async def test_only_services_come_in_and_everybody_may_ask_for_health(
    door: httpx.AsyncClient,
) -> None:
    for method, path in (("GET", "/connections"), ("POST", "/flows"), ("DELETE", "/connections/x")):
        refused = await door.request(method, path, headers={"authorization": ""})
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
    wrong = await door.get("/connections", headers={"authorization": "Bearer service-secret"})
    assert wrong.status_code == 401
    async with httpx.AsyncClient(base_url=door.base_url, timeout=PATIENCE_S) as anyone:
        assert (await anyone.get("/health/live")).status_code == 200
        assert (await anyone.get("/health/ready")).json()["status"] == "ready"
        assert [
            (await anyone.head(path)).status_code for path in ("/health/live", "/health/ready")
        ] == [200, 200]


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", ""])
async def test_a_request_for_another_host_is_refused(door: httpx.AsyncClient, host: str) -> None:
    refused = await door.get("/connections", headers={"host": host})
    assert refused.status_code in {400, 421}


BAD_BODIES: list[tuple[str, str, Any]] = [
    ("/flows", "an unknown field", {**FLOW, "status": "connected"}),
    ("/flows", "a missing field", {"provider": "acme"}),
    ("/flows", "another type", {**FLOW, "org_id": 1}),
    (
        "/callback",
        "an unknown field",
        {"provider": "acme", "params": {}, "cookies": {}, "org_id": "o2"},
    ),
    ("/connections/x/token", "an unknown field", {"stale_version": 1, "connection_id": "y"}),
]


@pytest.mark.parametrize(("path", "_why", "body"), BAD_BODIES)
async def test_T10_fields_nobody_asked_for_and_wrong_shapes_are_400(
    door: httpx.AsyncClient, path: str, _why: str, body: Any
) -> None:
    refused = await door.post(path, json=body)
    assert refused.status_code == 400
    assert set(refused.json()) == {"code", "detail"}


async def test_hostile_bodies_and_unknown_paths_are_4xx_in_words(door: httpx.AsyncClient) -> None:
    post = door.post
    kind = {"content-type": "application/json"}
    deep = await post("/flows", content=b"[" * 60_000, headers=kind)
    huge = await post("/flows", content=b'"' + b"x" * 2_000_000 + b'"', headers=kind)
    broken = await post("/flows", content=b"{", headers=kind)
    unknown = await door.get("/nothing")
    missing = await door.get("/connections/none")
    assert [answer.status_code for answer in (deep, huge, broken, unknown, missing)] == [
        400,
        413,
        400,
        404,
        404,
    ]
    for answer in (deep, huge, broken, unknown, missing):
        assert set(answer.json()) == {"code", "detail"}

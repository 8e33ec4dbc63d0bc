"""Calls without a route are refused in each provider's own format."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.sandbox import create_app, sandbox_clients
from tests.support.serving import served
from tests.support.waiting import PATIENCE_S

PROVIDERS = ("airtable", "hubspot", "notion")


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(tmp_path, sandbox_clients(tmp_path, "http://localhost:8000", PROVIDERS))
    async with (
        served(lambda _: app) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client,
    ):
        yield client


def hubspot(answer: dict[str, Any]) -> tuple[str, str]:
    assert (answer["status"], bool(answer["correlationId"])) == ("error", True)
    return answer["category"], answer["message"]


def notion(answer: dict[str, Any]) -> tuple[str, str]:
    assert (answer["object"], bool(answer["request_id"])) == ("error", True)
    return answer["code"], answer["message"]


def airtable(answer: dict[str, Any]) -> tuple[str, str]:
    error = answer["error"]
    return (error, "") if isinstance(error, str) else (error["type"], error["message"])


READERS = {"hubspot": hubspot, "notion": notion, "airtable": airtable}


async def test_calls_that_a_provider_does_not_know_get_its_own_answer(
    sandbox: httpx.AsyncClient,
) -> None:
    calls = [
        ("hubspot", "GET", "/nope", 404, "OBJECT_NOT_FOUND"),
        ("hubspot", "GET", "/crm/v3/nope", 404, "OBJECT_NOT_FOUND"),
        ("notion", "GET", "/nope", 400, "invalid_request_url"),
        ("notion", "PUT", "/v1/users", 400, "invalid_request_url"),
        ("airtable", "POST", "/nope", 404, "NOT_FOUND"),
        ("airtable", "GET", "/v0/a/b/c/d", 404, "NOT_FOUND"),
    ]
    for slug, method, path, status, kind in calls:
        answer = await sandbox.request(method, f"/{slug}{path}")
        assert (answer.status_code, READERS[slug](answer.json())[0]) == (status, kind), path


async def test_calls_that_a_provider_knows_and_the_sandbox_does_not_are_no_mistake_of_the_caller(
    sandbox: httpx.AsyncClient,
) -> None:
    calls = [
        ("hubspot", "POST", "/crm/v3/objects/contacts"),
        ("hubspot", "GET", "/crm/v4/associations/contacts/companies/labels"),
        ("hubspot", "GET", "/crm/objects/2026-03/tickets"),
        ("hubspot", "GET", "/webhooks-journal/journal/2026-03/earliest"),
        ("notion", "PATCH", "/v1/pages/x"),
        ("notion", "DELETE", "/v1/blocks/x"),
        ("airtable", "POST", "/v0/meta/bases"),
        ("airtable", "GET", "/v0/a/b/c/comments"),
        ("airtable", "POST", "/v0/bases/a/webhooks/b/refresh"),
    ]
    for slug, method, path in calls:
        answer = await sandbox.request(method, f"/{slug}{path}")
        kind, message = READERS[slug](answer.json())
        assert (answer.status_code, kind.lower()) == (501, "not_simulated"), path
        assert message.startswith("Not simulated: "), message

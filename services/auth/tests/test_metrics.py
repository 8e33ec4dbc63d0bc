"""Auth's ``/metrics`` follows connections as they are made, refreshed and ended."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from services.auth.tests.serving import SERVICE_SECRET, Stack, open_stack
from shared.tests.scraped import Metrics, rise
from tests.support.waiting import PATIENCE_S

PROVIDER = "notion"


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with open_stack(tmp_path) as opened:
        yield opened


async def scrape(stack: Stack) -> Metrics:
    """Read the metrics as Prometheus does, without the service secret."""
    async with httpx.AsyncClient(timeout=PATIENCE_S) as prometheus:
        answer = await prometheus.get(f"{stack.auth.base_url}/metrics")
    assert answer.status_code == 200, answer.text
    return Metrics(answer.text)


async def fail_next_refresh(stack: Stack, status: int, body: dict[str, str]) -> None:
    fault = {
        "match": {"method": "POST", "path": "*/token"},
        "status": status,
        "body": body,
        "times": 1,
    }
    answer = await stack.control.put(f"/_sandbox/{PROVIDER}/faults", json=[fault])
    assert answer.status_code < 300, answer.text


async def test_connections_are_shown_by_provider_and_status(stack: Stack) -> None:
    assert (await scrape(stack)).get("tributary_connections") is None
    connection = (await stack.consent(PROVIDER))["connection"]
    assert (await scrape(stack))("tributary_connections", provider=PROVIDER, status="active") == 1
    await stack.auth.delete(f"/connections/{connection['id']}")
    values = await scrape(stack)
    assert values("tributary_connections", provider=PROVIDER, status="disconnected") == 1
    assert values.get("tributary_connections", status="active") is None


async def test_each_refresh_is_counted_by_how_it_ended(stack: Stack) -> None:
    connection = (await stack.consent(PROVIDER))["connection"]["id"]
    before = await scrape(stack)
    assert before("tributary_refreshes_total", provider=PROVIDER, outcome="lost") >= 0
    token_version = (await stack.token(connection)).json()["token_version"]
    await stack.token(connection, stale_version=token_version)
    after = await scrape(stack)
    risen = rise(before, after)
    assert risen("tributary_refreshes_total", provider=PROVIDER, outcome="refreshed") == 1
    assert risen("tributary_refreshes_total") == 1
    await fail_next_refresh(stack, 400, {"error": "invalid_grant"})
    await stack.token(connection, stale_version=token_version + 1)
    last = await scrape(stack)
    assert (
        rise(after, last)("tributary_refreshes_total", provider=PROVIDER, outcome="dead_grant") == 1
    )
    assert last("tributary_connections", provider=PROVIDER, status="reauth_required") == 1


async def test_the_outbox_and_the_process_are_shown(stack: Stack) -> None:
    values = await scrape(stack)
    assert values("tributary_outbox_rows") == 0
    assert values("tributary_outbox_oldest_due_seconds") == 0
    assert values("process_open_fds") > 0
    assert values("tributary_scrape_collector_failed") == 0


async def test_a_part_whose_statement_fails_leaves_the_rest_to_be_seen(
    stack: Stack, tmp_path: Path
) -> None:
    await stack.consent(PROVIDER)
    rename(tmp_path / "auth.db", "connections", "hidden")
    values = await scrape(stack)
    assert values.get("tributary_connections") is None
    assert values("tributary_scrape_collector_failed", collector="connections") == 1
    assert values("tributary_scrape_collector_failed", collector="outbox") == 0
    assert values("process_open_fds") > 0
    rename(tmp_path / "auth.db", "hidden", "connections")
    assert (await scrape(stack))("tributary_connections") == 1


def rename(database: Path, table: str, name: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(f"ALTER TABLE {table} RENAME TO {name}")


async def test_figures_name_no_customer_and_no_secret(stack: Stack) -> None:
    connection = (await stack.consent(PROVIDER, org="acme-of-the-customer"))["connection"]
    token = (await stack.token(connection["id"])).json()["access_token"]
    async with httpx.AsyncClient(timeout=PATIENCE_S) as prometheus:
        text = (await prometheus.get(f"{stack.auth.base_url}/metrics")).text
    assert 'route="/connections/{connection_id}/token"' in text
    for told in (
        connection["id"],
        "acme-of-the-customer",
        connection["account"]["id"],
        token,
        SERVICE_SECRET,
    ):
        assert told not in text

"""Requests that still wait when the server is told to stop."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from services.gateway.tests.fake_auth import FakeAuth
from services.gateway.tests.serving import ALLOWED, SECRET, running_broker, running_gateway
from tests.support.waiting import PATIENCE_S

WHO = {"org_id": "demo", "user_id": "demo"}
HEADERS = {"origin": ALLOWED}


async def test_a_load_that_waits_is_told_that_the_server_stops_and_a_stream_is_ended(
    tmp_path: Path,
) -> None:
    async with (
        running_broker(tmp_path) as (bootstrap, producer),
        httpx.AsyncClient(timeout=PATIENCE_S) as client,
    ):
        async with running_gateway(tmp_path, bootstrap, producer, FakeAuth(SECRET)) as gateway:
            connection = await gateway.connect("notion")
            for slug in connection.resources:
                await gateway.progress(
                    connection.sync_id or "", connection, slug, step=1, state="failed"
                )
            await gateway.until(
                f"/v1/syncs/{connection.sync_id}", lambda sync: sync["state"] == "failed"
            )

            load = client.post(f"{gateway.url}/integrations/notion/load", data=WHO, headers=HEADERS)
            waiting = asyncio.create_task(load)
            path = f"/v1/connections/{connection.id}"
            started = await gateway.until(path, lambda one: one["sync_id"] != connection.sync_id)

            events = f"{gateway.url}/v1/syncs/{started['sync_id']}/events"
            request = client.build_request("GET", events, headers=HEADERS)
            stream = await client.send(request, stream=True)
            lines = stream.aiter_lines()
            assert await anext(lines) == "retry: 2000"
        assert [line async for line in lines if line] == []
        answer = await waiting
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "Tributary is shutting down; try again in a moment."
    assert answer.json()["code"] == "stopping"
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["access-control-allow-origin"] == ALLOWED

"""An upgrade killed anywhere leaves stores that refuse to start, and the next one completes it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from deploy.localkafka import Broker
from deploy.sandbox.server.routing import claimed
from shared.db import leader_lock
from shared.layout import UPGRADING
from tests.upgrade.running import Installation

pytestmark = pytest.mark.e2e

FAILPOINTS = ("upgrade_begun", "topics_dropped", "topics_made", "fetcher_remade", "gateway_emptied")


def test_killed_after_each_step_in_turn_and_repeated(tmp_path: Path) -> None:
    one = Installation(tmp_path)
    try:
        restored = one.restore()
        for failpoint in FAILPOINTS:
            one.kill_upgrade_at(failpoint)
            assert "in the middle of an upgrade" in one.refusal("deploy.local"), failpoint
        assert "3 connections will be synced again" in one.upgrade()
        one.start()
        for provider, account in restored.connections.items():
            one.loaded(provider, account)
        one.stop()
        done_again_whole(one)
    finally:
        one.close()


def done_again_whole(one: Installation) -> None:
    """A kill may come when all stores but auth's have today's layout: nothing counts as done."""
    one.write("auth", "UPDATE layout SET version = ?", UPGRADING)
    counted = (
        "SELECT (SELECT count(*) FROM items), (SELECT count(*) FROM positions), (SELECT "
        "count(*) FROM api_keys)"
    )
    assert 0 not in one.rows("gateway", counted)[0]
    assert "3 connections will be synced again" in one.upgrade()
    assert one.rows("gateway", counted) == [(0, 0, 1)]
    assert one.rows("fetcher", "SELECT count(*) FROM known_items") == [(0,)]
    assert one.rows("auth", "SELECT count(*) FROM outbox") == [(4,)]


def test_it_refuses_while_the_product_runs(tmp_path: Path) -> None:
    one = Installation(tmp_path)
    try:
        one.start()
        ended = one.run("deploy.upgrade --yes")
        assert (ended.returncode, ended.stdout) == (2, "")
        assert "Another Tributary is running" in ended.stderr
    finally:
        one.close()


async def test_it_refuses_while_a_service_runs_alone(tmp_path: Path) -> None:
    one = Installation(tmp_path)
    one.restore()
    running = leader_lock(one.data / "gateway.db", lambda: None)
    try:
        assert await running.acquire()
        said = await asyncio.to_thread(one.refusal, "deploy.upgrade --yes")
        assert "A service is running on" in said
        assert "Stop all services of this installation first" in said
    finally:
        await running.close()
        one.close()


async def test_it_refuses_while_the_sandbox_runs_alone(tmp_path: Path) -> None:
    one = Installation(tmp_path)
    one.restore()
    try:
        with claimed(one.data / "sandbox.db.lock"):
            ended = await asyncio.to_thread(one.run, "deploy.upgrade --yes")
        assert ended.returncode == 2
        assert "The sandbox is running on" in ended.stderr
    finally:
        one.close()


async def test_it_refuses_while_a_broker_runs_on_the_folder(tmp_path: Path) -> None:
    one = Installation(tmp_path)
    one.restore()
    broker = Broker(one.data / "kafka", port=0, upgrade=True)
    await broker.start()
    try:
        ended = await asyncio.to_thread(one.run, "deploy.upgrade --yes")
        assert ended.returncode == 2
        assert "Another local broker already uses" in ended.stderr
    finally:
        await broker.stop()
        one.close()

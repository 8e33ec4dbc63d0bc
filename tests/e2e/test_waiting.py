"""A service that starts while Kafka is away waits for it, and says so."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from deploy.localkafka import Broker
from shared.kafka import ensure_topics
from shared.settings import Cluster
from tests.support.processes import ROOT
from tests.support.product import Product
from tests.support.waiting import PATIENCE_S, eventually

pytestmark = pytest.mark.e2e


def answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(url, trust_env=False, timeout=PATIENCE_S).status_code == 200
    return False


async def test_a_service_that_comes_before_kafka_is_ready_once_kafka_is_there(
    tmp_path: Path,
) -> None:
    one = Product(tmp_path)
    health = f"http://127.0.0.1:{one.ports['AUTH']}/health/ready"
    with one.log.open("w") as log:
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **one.settings}
        auth = await asyncio.to_thread(
            subprocess.Popen,
            [sys.executable, "-m", "services.auth"],
            cwd=tmp_path,
            env=environ,
            stderr=log,
        )
    broker = Broker(tmp_path / "kafka", port=one.ports["KAFKA"])
    try:
        await asyncio.to_thread(eventually, lambda: "start_waits" in one.log.read_text())
        assert auth.poll() is None
        await broker.start()
        await ensure_topics(Cluster(bootstrap=one.bootstrap), local=True)
        await asyncio.to_thread(eventually, lambda: answers(health))
        auth.terminate()
        assert await asyncio.to_thread(auth.wait, PATIENCE_S) == 0
    finally:
        auth.kill()
        auth.wait()
        await broker.stop()
        one.close()

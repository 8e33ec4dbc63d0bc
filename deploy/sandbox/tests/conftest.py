from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from deploy.sandbox import create_app, sandbox_clients
from deploy.sandbox.tests import plums_server
from tests.support.serving import served
from tests.support.waiting import PATIENCE_S


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    clients = sandbox_clients(tmp_path, "http://localhost:8000", ["plums"])
    app = create_app(tmp_path, clients, {"plums": plums_server})
    async with (
        served(lambda _: app) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client,
    ):
        yield client

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from deploy.sandbox import create_app, sandbox_clients
from deploy.sandbox.tests import plums_server


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    clients = sandbox_clients(tmp_path, "http://localhost:8000", ["plums"])
    app = create_app(tmp_path, clients, {"plums": plums_server})
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8003") as client:
        yield client

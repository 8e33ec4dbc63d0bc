from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from services.gateway.console.tests.desk import console_app, opened_hub, settings
from services.gateway.hub import Hub


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with opened_hub(settings(tmp_path)) as hub:
        yield hub


@pytest.fixture
async def http(hub: Hub) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=console_app(hub))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as http:
        yield http

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from services.gateway.console.tests.rows import browsing, opened_context, settings
from services.gateway.context import GatewayContext


@pytest.fixture
async def context(tmp_path: Path) -> AsyncIterator[GatewayContext]:
    async with opened_context(settings(tmp_path)) as context:
        yield context


@pytest.fixture
async def http(context: GatewayContext) -> AsyncIterator[httpx.AsyncClient]:
    async with browsing(context) as http:
        yield http

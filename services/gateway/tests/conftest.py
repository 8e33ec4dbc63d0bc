from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from services.gateway.tests.fake_auth import FakeAuth
from services.gateway.tests.serving import SECRET, Gateway, running_broker, running_gateway


@asynccontextmanager
async def _gateway(folder: Path) -> AsyncIterator[Gateway]:
    async with (
        running_broker(folder) as (bootstrap, producer),
        running_gateway(folder, bootstrap, producer, FakeAuth(SECRET)) as gateway,
    ):
        yield gateway


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with _gateway(tmp_path) as gateway:
        yield gateway


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """One gateway for all tests of a module, in the module's event loop."""
    async with _gateway(tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway

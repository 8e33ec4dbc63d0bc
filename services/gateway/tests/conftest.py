from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.gateway.tests.fake_auth import FakeAuth
from services.gateway.tests.serving import SECRET, Gateway, running_broker, running_gateway


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with (
        running_broker(tmp_path) as (bootstrap, producer),
        running_gateway(tmp_path, bootstrap, producer, FakeAuth(SECRET)) as gateway,
    ):
        yield gateway

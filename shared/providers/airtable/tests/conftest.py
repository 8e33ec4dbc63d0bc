from collections.abc import AsyncIterator

import pytest

from deploy.sandbox.providers.airtable.tests.conftest import standing, token, url, world
from deploy.sandbox.providers.airtable.tests.serving import access_token
from deploy.sandbox.world import World
from shared.providers.airtable.tests.caller import RealCall

__all__ = ["call", "reader", "standing", "token", "url", "world"]


@pytest.fixture
async def reader(standing: tuple[World, str], token: str) -> AsyncIterator[RealCall]:
    real = RealCall(standing[1], token)
    yield real
    await real.aclose()


@pytest.fixture
async def call(url: str) -> AsyncIterator[RealCall]:
    real = RealCall(url, access_token(url))
    yield real
    await real.aclose()

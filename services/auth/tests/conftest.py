from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.auth.tests.fake_provider import FakeProvider, runtime
from services.auth.tests.harness import Auth, open_auth


@pytest.fixture
async def auth(tmp_path: Path) -> AsyncIterator[Auth]:
    """A provider with PKCE that rotates: the strictest kind."""
    async with open_auth(tmp_path, FakeProvider(runtime())) as opened:
        yield opened


@pytest.fixture
async def lasting(tmp_path: Path) -> AsyncIterator[Auth]:
    """A provider that keeps its refresh token and takes the secret in the body."""
    kept = FakeProvider(runtime(rotates=False, client_auth="body", pkce=False))
    async with open_auth(tmp_path, kept) as opened:
        yield opened

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shared.providers.airtable.tests.serving import RealCall, access_token, open_world, serving
from shared.sandbox import World


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, str]]:
    """World and URL shared by the tests that change nothing."""
    opened = open_world(tmp_path_factory.mktemp("standing"))
    opened.limiter.off = True
    with serving(opened) as root:
        yield opened, root


@pytest.fixture(scope="module")
def token(standing: tuple[World, str]) -> str:
    return access_token(standing[1])


@pytest.fixture
async def reader(standing: tuple[World, str], token: str) -> AsyncIterator[RealCall]:
    real = RealCall(standing[1], token)
    yield real
    await real.aclose()


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Limits are off: a test that is about them turns them on."""
    opened = open_world(tmp_path)
    opened.limiter.off = True
    return opened


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with serving(world) as root:
        yield root


@pytest.fixture
async def call(url: str) -> AsyncIterator[RealCall]:
    real = RealCall(url, access_token(url))
    yield real
    await real.aclose()

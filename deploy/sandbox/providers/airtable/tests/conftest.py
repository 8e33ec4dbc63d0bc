from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.sandbox.providers.airtable.tests.serving import access_token, open_world, serving
from deploy.sandbox.world import World


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, str]]:
    """Yield the world and URL shared by the tests that change nothing."""
    opened = open_world(tmp_path_factory.mktemp("standing"))
    opened.limiter.off = True
    with serving(opened) as root:
        yield opened, root


@pytest.fixture(scope="module")
def token(standing: tuple[World, str]) -> str:
    return access_token(standing[1])


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a world without limits; a test that is about limits turns them on."""
    opened = open_world(tmp_path)
    opened.limiter.off = True
    return opened


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with serving(world) as root:
        yield root

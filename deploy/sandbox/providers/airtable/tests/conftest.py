from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.sandbox.providers.airtable.tests.serving import access_token, opened, serving
from deploy.sandbox.world import World


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, str]]:
    """Yield the world and URL shared by the tests that change nothing."""
    with opened(tmp_path_factory.mktemp("standing")) as world:
        world.limiter.off = True
        with serving(world) as root:
            yield world, root


@pytest.fixture(scope="module")
def token(standing: tuple[World, str]) -> str:
    return access_token(standing[1])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Yield a world without limits; a test that is about limits turns them on."""
    with opened(tmp_path) as world:
        world.limiter.off = True
        yield world


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with serving(world) as root:
        yield root

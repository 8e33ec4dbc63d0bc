from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.sandbox.providers.notion.tests.serving import opened
from deploy.sandbox.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with opened(tmp_path) as world:
        yield world

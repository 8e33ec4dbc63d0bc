from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.providers.notion.tests.serving import opened
from shared.sandbox import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with opened(tmp_path) as world:
        yield world

"""Give each test its own random numbers, from a seed that is printed when the test fails."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Generator
from typing import Final

import pytest

SEED: Final = "TEST_SEED"
"""The environment variable that sets the seed, to repeat a run."""
_used = pytest.StashKey[int]()


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Return random numbers for this test, from a new seed unless ``TEST_SEED`` sets one."""
    seed = int(os.environ.get(SEED) or secrets.randbelow(2**32))
    request.node.stash[_used] = seed
    return random.Random(seed)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the seed of a test that failed."""
    report = yield
    seed = item.stash.get(_used, None)
    if report.failed and seed is not None:
        report.sections.append(("seed", f"{SEED}={seed} repeats it"))
    return report

"""Chance that can be had again: every test's own, from a seed that its failure prints."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Generator
from typing import Final

import pytest

SEED: Final = "TEST_SEED"
"""The environment variable that repeats a run."""
_used = pytest.StashKey[int]()


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers for this test. Another seed each run, unless ``TEST_SEED`` gives one."""
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

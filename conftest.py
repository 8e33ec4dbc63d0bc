"""Fixtures for every test folder."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Iterator

import pytest
import structlog

pytest_plugins = ["tests.servers", "tests.support.chance", "tests.support.clock"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out variations, unless they are asked for by their mark or by name."""
    if "variation" in config.option.markexpr or any("::" in one for one in config.args):
        return
    left_out = [item for item in items if item.get_closest_marker("variation")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish() -> None:
    """Spare the garbage collector thousands of tests and their modules, which stay to the end."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Undo what a test configured: the next test's lines would go to a stream that nobody reads."""
    root, show = logging.getLogger(), warnings.showwarning
    handlers, level = root.handlers, root.level
    yield
    if structlog.is_configured():
        logging.captureWarnings(capture=False)
        warnings.showwarning = show
        root.handlers, root.level = handlers, level
        logging.getLogger("uvicorn.access").disabled = False
        structlog.reset_defaults()

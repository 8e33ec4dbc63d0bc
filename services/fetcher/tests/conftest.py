from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A hundred crashes would print a hundred tracebacks."""
    with capture_logs():
        yield

"""Mark the cases of a test, beyond those that the gate runs, that only make chaos runs."""

from __future__ import annotations

from typing import Any

import pytest


def variations(*values: Any) -> list[Any]:
    """Return cases for ``parametrize`` that only ``make chaos`` and ``-m variation`` run.

    A tuple stands for several arguments.
    """
    mark = pytest.mark.variation
    cases = []
    for value in values:
        arguments = value if isinstance(value, tuple) else (value,)
        cases.append(pytest.param(*arguments, marks=mark))
    return cases

"""The surroundings that a test gives a child process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
"""The checkout."""


MAKES: Final = frozenset({"MAKELEVEL", "MAKEFLAGS", "MFLAGS"})
"""Set by a make that runs the tests: with them, another make says which folder it enters."""


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """Drop settings of ours that happen to be set, and let a process in another folder import us.

    In another folder there is no .env that says more.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith("TRIBUTARY_") and name not in MAKES
    }
    return {**kept, "PYTHONPATH": str(ROOT)}

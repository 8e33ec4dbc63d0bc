"""Prepare the environment that a test gives to a child process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
"""The checkout."""


MAKES: Final = frozenset({"MAKELEVEL", "MAKEFLAGS", "MFLAGS"})
"""Variables set by the make that runs the tests; they would make another make print its folder."""


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` without our settings, for a process in another folder to import us.

    No .env adds settings there.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith("TRIBUTARY_") and name not in MAKES
    }
    return {**kept, "PYTHONPATH": str(ROOT)}

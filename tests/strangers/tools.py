"""Run other people's tools as their users do, as programs of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.support.processes import ROOT, clean

BIN: Final = ROOT / ".venv-strangers/bin"
NODE_MODULES: Final = ROOT / ".cache/strangers/node_modules"
LOCK: Final = ROOT / "requirements-strangers.lock"
NODE_LOCK: Final = ROOT / "tests/strangers/package-lock.json"

needs_python_tools = pytest.mark.skipif(
    not (BIN.parent / "installed.lock").exists(),
    reason="the tools are not installed: sh tests/strangers/install.sh",
)
needs_node_tools = pytest.mark.skipif(
    shutil.which("node") is None or not (NODE_MODULES.parent / "installed.json").exists(),
    reason=(
        "the tools are not installed: sh tests/strangers/install.sh, which needs Node 20 or "
        "newer with npm"
    ),
)


def environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what tools and generated clients see: none of our code, which a client might use."""
    environ = clean(os.environ)
    del environ["PYTHONPATH"]
    return {
        **environ,
        "NO_COLOR": "1",
        "PATH": f"{BIN}{os.pathsep}{environ['PATH']}",
        **(settings or {}),
    }


def run(
    *command: str | Path, within: float, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Return what ``command`` printed, and its exit code; ``within`` is in seconds."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
        stdin=subprocess.DEVNULL,
    )

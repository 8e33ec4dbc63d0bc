"""``make fmt`` formats and fixes all that it can, and says what it leaves."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.structure.tree import ROOT

UNTIDY = "import os\nx = ( 1,2 )\n"
TIDY = "x = (1, 2)\n"


def make_fmt(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it in a folder with our own rules. Its tools are those that run this test."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    make = ["make", "-f", str(ROOT / "Makefile"), "-o", "dev", "fmt", f"DEV={sys.executable}"]
    return subprocess.run(make, cwd=folder, capture_output=True, text=True, check=False)


def test_what_can_be_fixed_is_fixed(tmp_path: Path) -> None:
    (tmp_path / "untidy.py").write_text(UNTIDY)
    done = make_fmt(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "untidy.py").read_text() == TIDY


def test_what_cannot_be_fixed_is_named_and_all_else_is_fixed(tmp_path: Path) -> None:
    (tmp_path / "untidy.py").write_text(UNTIDY)
    (tmp_path / "unknown.py").write_text("y = ( unknown )\n")
    (tmp_path / "unreadable.py").write_text("def (:\n")
    done = make_fmt(tmp_path)
    assert done.returncode != 0
    assert (tmp_path / "untidy.py").read_text() == TIDY
    assert (tmp_path / "unknown.py").read_text() == "y = unknown\n"
    assert "Undefined name `unknown`" in done.stdout
    assert "unreadable.py" in done.stdout
    assert "What is listed above is left for you." in done.stderr

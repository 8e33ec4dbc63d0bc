"""Prove that the guide leads from nothing to a passing suite, and that the template starts it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.provider import write
from deploy.provider.__main__ import main
from shared.exit_codes import Misuse
from tests.conformance import guide
from tests.conformance.run import run

FOLDERS = (f"shared/providers/{guide.SLUG}", f"deploy/sandbox/providers/{guide.SLUG}")
LINTERS = (("ruff", "check"), ("ruff", "format", "--check"), ("mypy",))


def lint(root: Path) -> None:
    """Run what ``make lint`` runs over the new folders of the copy ``root``."""
    for tool in LINTERS:
        ended = subprocess.run(
            [sys.executable, "-m", *tool, *FOLDERS],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_following_the_guide_gives_a_provider_that_passes_suite_and_lint(tmp_path: Path) -> None:
    guide.copy_checkout(tmp_path)
    guide.follow(tmp_path)
    lint(tmp_path)


def test_the_template_passes_lint_and_fails_the_suite_with_what_to_write(tmp_path: Path) -> None:
    guide.copy_checkout(tmp_path)
    written = write(guide.SLUG, tmp_path)
    lint(tmp_path)
    outcome = run([guide.SLUG], root=tmp_path)
    for method in ("problem", "page"):
        assert f"{method}() is not written yet." in outcome.told
    assert "answers.json has no answer of the kind token-refused. Add one" in outcome.told
    assert "items.json has no walk with items over companies. Add one" in outcome.told
    assert all(f"providers/{guide.SLUG}/" in sentence for sentence in outcome.failed.values())
    assert {path.parent.name for path in written} >= {guide.SLUG, "recorded"}


def test_a_file_of_the_guide_is_one_of_the_template(tmp_path: Path) -> None:
    written = {path.relative_to(tmp_path).as_posix() for path in write(guide.SLUG, tmp_path)}
    shown = {block.info for block in guide.blocks() if block.language in {"python", "json"}}
    assert len(shown) > 4
    assert shown <= written


@pytest.mark.parametrize("slug", ["Acme", "a", "a-b", "1acme", "", "../acme", "acme_crm"])
def test_what_cannot_be_a_slug_is_refused_and_writes_nothing(tmp_path: Path, slug: str) -> None:
    with pytest.raises(Misuse, match="small letters and digits"):
        write(slug, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", "quince", "--into", str(tmp_path)]) == 0
    assert "make conformance PROVIDER=quince" in capsys.readouterr().out
    mine = tmp_path / "shared/providers/quince/mapping.py"
    mine.write_text("mine")
    assert main(["new", "quince", "--into", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert mine.read_text() == "mine"

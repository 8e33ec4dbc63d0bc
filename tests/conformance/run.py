"""Run the suite over a set of providers in a process of its own, and say how each check went."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from xml.etree import ElementTree as ET

ROOT: Final = Path(__file__).resolve().parents[2]
SUITE: Final = Path(__file__).parent / "suite"


@dataclass(frozen=True)
class Outcome:
    """Hold the names of the checks that passed, and for the others the sentence that each gave."""

    passed: tuple[str, ...]
    failed: dict[str, str]
    skipped: dict[str, str]
    output: str

    def of(self, slug: str) -> Outcome:
        """Return the checks of one provider."""
        mine = re.compile(rf".*\[{slug}[]:-].*", re.DOTALL)
        return Outcome(
            tuple(name for name in self.passed if mine.fullmatch(name)),
            {name: told for name, told in self.failed.items() if mine.fullmatch(name)},
            {name: told for name, told in self.skipped.items() if mine.fullmatch(name)},
            self.output,
        )

    def with_others(self, others: Outcome) -> Outcome:
        return Outcome(
            self.passed + others.passed,
            self.failed | others.failed,
            self.skipped | others.skipped,
            self.output + others.output,
        )

    @property
    def told(self) -> str:
        """Return everything that the failed checks say."""
        return "\n".join(self.failed.values())


def run(slugs: Sequence[str], *, root: Path = ROOT, loads: bool = True) -> Outcome:
    """Run the suite for ``slugs``, whose folders are in this checkout or in the tree ``root``.

    ``loads``: also the checks that load a whole account many times.
    """
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", str(SUITE), f"--junitxml={report}"]
        command += ["-o", f"cache_dir={folder}/cache"]
        command += [f"--provider={slug}" for slug in slugs]
        if not loads:
            command.append(f"--ignore={SUITE / 'test_parts.py'}")
        if root != ROOT:
            command.append(f"--providers-in={root}")
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        output = ended.stdout + ended.stderr
        if not report.exists():
            raise AssertionError(f"the suite did not run:\n{output}")
        return _outcome(report, output)


def _outcome(report: Path, output: str) -> Outcome:
    passed: list[str] = []
    failed: dict[str, str] = {}
    skipped: dict[str, str] = {}
    for case in ET.parse(report).iter("testcase"):
        name = case.get("name", "")
        wrong = [told for kind in ("failure", "error") for told in case.findall(kind)]
        left_out = case.find("skipped")
        if wrong:
            failed[name] = "\n".join(told.text or "" for told in wrong)
        elif left_out is not None:
            skipped[name] = left_out.get("message", "")
        else:
            passed.append(name)
    return Outcome(tuple(passed), failed, skipped, output)

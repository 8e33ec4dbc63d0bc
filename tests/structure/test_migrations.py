"""Check that the migrations of each service are one line: two branches cannot be upgraded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.support.processes import ROOT

FOLDERS: Final = sorted(ROOT.glob("services/*/migrations/versions"))
LINK: Final = re.compile(r'^(revision|down_revision) = (?:"(\d{4})"|None)$', re.MULTILINE)


@pytest.mark.parametrize("folder", FOLDERS, ids=[one.parts[-3] for one in FOLDERS])
def test_each_migration_follows_the_one_before_it(folder: Path) -> None:
    files = sorted(folder.glob("v*.py"))
    found = [dict(LINK.findall(file.read_text())) for file in files]
    numbers = [file.name[1:5] for file in files]
    assert [one["revision"] for one in found] == numbers
    assert [one["down_revision"] for one in found] == ["", *numbers[:-1]]

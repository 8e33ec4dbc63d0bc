"""Links between documents lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.structure.tree import ROOT, name, tracked_files

LINK: Final = re.compile(r"\[[^\]]*\]\((?!https?:)([^)\s#]*)(?:#([\w-]+))?\)")
FENCED: Final = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


def pages() -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".md"]


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    plain = [re.sub(r"[`*]", "", heading) for heading in HEADING.findall(FENCED.sub("", text))]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def dead_links(page: Path) -> Iterator[str]:
    for target, anchor in LINK.findall(FENCED.sub("", page.read_text("utf-8"))):
        path = (page.parent / target).resolve() if target else page
        if not path.exists():
            yield f"{target} does not exist"
        elif anchor and anchor not in anchors(path.read_text("utf-8")):
            yield f"{target}#{anchor} is no heading there"


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert list(dead_links(page)) == []


def test_a_dead_link_and_a_dead_anchor_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One heading\n[a](#one-heading) [b](#another) [c](missing.md)\n")
    assert list(dead_links(page)) == ["#another is no heading there", "missing.md does not exist"]


def test_every_page_is_reached_from_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    decisions = ROOT / "docs" / "decisions" / "README.md"
    linked = set()
    for page in (index, decisions):
        found = LINK.findall(page.read_text("utf-8"))
        linked |= {(page.parent / target).resolve() for target, _ in found}
    documents = {page for page in pages() if page.is_relative_to(ROOT / "docs")}
    assert {name(page) for page in documents - linked} == {"docs/index.md"}

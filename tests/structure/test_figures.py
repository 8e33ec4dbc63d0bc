"""The figures of how the code reads count what they say."""

from functools import cache

from tests.structure import figures
from tests.structure.figures import BESIDE, FOLDERS, counted

found = cache(figures.figures)


def test_each_kind_is_counted() -> None:
    source = '"""Doc."""\n# why\nx = [y for y in z]  # noqa: F821\nv = 1 if x else 2\n'
    assert counted(source) == {
        "lines": 4,
        "comments": 1,
        "docstrings": 1,
        "comprehensions": 1,
        "ternaries": 1,
    }


def test_every_folder_has_lines() -> None:
    assert [folder for folder in FOLDERS if found()[folder]["lines"] < 1_000] == []


def test_the_tests_beside_the_product_are_counted_apart() -> None:
    services = [folder for folder in FOLDERS if folder.startswith("services/")]
    assert all(found()[f"{folder}, {BESIDE}"]["lines"] > 1_000 for folder in services)
    assert f"tests, {BESIDE}" not in found()

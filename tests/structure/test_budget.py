"""Every file and line is short enough to keep in mind. (Functions: budgets in pyproject.toml.)"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.structure.tree import name, product_files, text, tracked_files

FILE_LINES = 400
TEST_FILE_LINES = 500
COMPREHENSION = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def longer_than(limit: int, files: Iterator[Path]) -> list[str]:
    counted = ((path, len(text(path).splitlines())) for path in files)
    return [f"{name(path)}: {lines} lines" for path, lines in counted if lines > limit]


def dense_comprehensions(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line of each comprehension that holds another, or a ternary, and what it holds."""
    for outer in ast.walk(ast.parse(source)):
        if not isinstance(outer, COMPREHENSION):
            continue
        inside = [node for node in ast.walk(outer) if node is not outer]
        if any(isinstance(node, COMPREHENSION) for node in inside):
            yield outer.lineno, "a comprehension"
        elif any(isinstance(node, ast.IfExp) for node in inside):
            yield outer.lineno, "a ternary"


def test_product_files_are_as_large_as_their_subject() -> None:
    assert longer_than(FILE_LINES, product_files(".py")) == []


def test_test_files_are_as_large_as_their_subject() -> None:
    tests = (path for path in tracked_files() if path.suffix == ".py" and "tests" in path.parts)
    assert longer_than(TEST_FILE_LINES, tests) == []


def test_no_comprehension_holds_another_or_a_ternary() -> None:
    found = []
    for path in tracked_files():
        if path.suffix == ".py":
            dense = dense_comprehensions(text(path))
            found += [f"{name(path)}:{line} holds {what}" for line, what in dense]
    assert found == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("[[x for x in y] for y in z]", [(1, "a comprehension")]),
        ("{x: sum(w for w in x) for x in z}", [(1, "a comprehension")]),
        ("[x if x else 1 for x in z]", [(1, "a ternary")]),
        ("[x for x in z if (1 if x else 2)]", [(1, "a ternary")]),
        ("[f(x) for x in z]", []),
        ("[x for x in z] if z else []", []),
    ],
)
def test_a_dense_comprehension_is_found(line: str, found: list[tuple[int, str]]) -> None:
    assert list(dense_comprehensions(line)) == found

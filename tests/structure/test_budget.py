"""Every file and line is short enough to keep in mind. (Functions: budgets in pyproject.toml.)"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.structure.tree import name, product_files, text, tracked_files

FILE_LINES = 400
TEST_FILE_LINES = 500
LINE_CHARACTERS = 100
UNBREAKABLE = re.compile(r"https?://\S+")
COMPREHENSION = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def too_wide(source: str) -> Iterator[int]:
    """Yield the lines that are too long, pragmas included. A URL alone on its line may be."""
    for number, line in enumerate(source.splitlines(), start=1):
        if len(line) <= LINE_CHARACTERS:
            continue
        words = line.strip().removeprefix("# ")
        if not UNBREAKABLE.fullmatch(words):
            yield number


def dense_ternaries(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line of each ternary inside another, or that an ``if`` or ``while`` asks."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.If(test=test) | ast.While(test=test):
                if any(isinstance(part, ast.IfExp) for part in ast.walk(test)):
                    yield node.lineno, "in a condition"
            case ast.IfExp():
                parts = [part for part in ast.walk(node) if part is not node]
                if any(isinstance(part, ast.IfExp) for part in parts):
                    yield node.lineno, "in a ternary"
            case _:
                pass


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


def test_no_line_is_longer_than_a_hundred_characters() -> None:
    found = []
    for path in tracked_files():
        if path.suffix == ".py":
            found += [f"{name(path)}:{line}" for line in too_wide(text(path))]
    assert found == []


def test_no_ternary_is_in_another_or_in_a_condition() -> None:
    found = []
    for path in tracked_files():
        if path.suffix == ".py":
            found += [f"{name(path)}:{line} {where}" for line, where in dense_ternaries(text(path))]
    assert found == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("x" * 100, []),
        ("é" * 100, []),
        ("x" * 101, [1]),
        (f"call()  # noqa: S603  # {'x' * 80}", [1]),
        (f"    # https://docs.example/{'x' * 90}", []),
        (f"# see https://docs.example/{'x' * 90}", [1]),
    ],
)
def test_a_line_is_counted_in_characters_pragmas_included(line: str, found: list[int]) -> None:
    assert list(too_wide(line)) == found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("x = 1 if a else 2 if b else 3", [(1, "in a ternary")]),
        ("x = f(1 if a else 2) if b else 3", [(1, "in a ternary")]),
        ("if (a if b else c): pass", [(1, "in a condition")]),
        ("while x and (a if b else c): pass", [(1, "in a condition")]),
        ("if a: x = 1 if b else 2", []),
        ("x = [1 if a else 2, 1 if b else 2]", []),
    ],
)
def test_a_dense_ternary_is_found(line: str, found: list[tuple[int, str]]) -> None:
    assert list(dense_ternaries(line)) == found


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

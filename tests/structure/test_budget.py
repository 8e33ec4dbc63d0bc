"""A reader can hold any file, and any function, in the head."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.structure.tree import name, product_files, text, tracked_files

FILE_LINES = 300
TEST_FILE_LINES = 400
BODY_LINES = 30


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement to the last, the docstring not counted."""
    body = function.body
    if ast.get_docstring(function, clean=False) is not None:
        body = body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def long_functions(source: str, where: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (lines := body_lines(node)) > BODY_LINES:
            yield f"{where}:{node.lineno} {node.name}: {lines} lines"


def longer_than(limit: int, files: Iterator[Path]) -> list[str]:
    counted = ((path, len(text(path).splitlines())) for path in files)
    return [f"{name(path)}: {lines} lines" for path, lines in counted if lines > limit]


def test_no_product_file_is_longer_than_300_lines() -> None:
    assert longer_than(FILE_LINES, product_files(".py")) == []


def test_no_test_file_is_longer_than_400_lines() -> None:
    tests = (path for path in tracked_files() if path.suffix == ".py" and "tests" in path.parts)
    assert longer_than(TEST_FILE_LINES, tests) == []


def test_no_function_body_of_the_product_is_longer_than_30_lines() -> None:
    found = [line for path in product_files(".py") for line in long_functions(text(path), name(path))]
    assert found == []


def test_a_long_body_is_found_and_its_docstring_is_free() -> None:
    statements = "\n".join(f"    x{i} = {i}" for i in range(BODY_LINES))
    docstring = '    """One\n\n    two\n    """\n'
    assert list(long_functions(f"def f():\n{docstring}{statements}\n", "a.py")) == []
    assert list(long_functions(f"async def f():\n{statements}\n    y = 1\n", "a.py")) == ["a.py:1 f: 31 lines"]

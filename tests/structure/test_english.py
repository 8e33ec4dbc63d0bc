"""The first line of every docstring says what a thing does, returns or is, in plain English."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.structure.tree import name, text, tracked_files

CLAUSE = "How|That|What|Whatever|Where|Wherever|Whether|Which|Whichever|Who|Whoever|Whose|Why"
INVERTED = "Also|As|By|Else|From|It|Its|None|Of|So|Such|Those|Until|Without"
THIRD_PERSON = "Raises|Returns|Yields"
"""We write "Return", as pydocstyle's D401 asks."""

BANNED = re.compile(rf"\s*(?:{CLAUSE}|{INVERTED}|{THIRD_PERSON})(?=[\s:,.])")


def banned_openings(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and first line of each docstring, attributes' included, that begins badly."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            continue
        docstring = node.value.value
        if isinstance(docstring, str) and BANNED.match(docstring):
            yield node.lineno, docstring.strip().splitlines()[0]


def test_no_docstring_begins_with_a_banned_opening() -> None:
    found = []
    for path in tracked_files():
        if path.suffix == ".py":
            openings = banned_openings(text(path))
            found += [f"{name(path)}:{line}: {opening}" for line, opening in openings]
    assert found == []


@pytest.mark.parametrize(
    "opening",
    [
        "What is connected.",
        "Whether the last page told of lies TELL_S back.",
        "Of the lane that is the key of a wake-up.",
        "Where a browser may be sent.",
        "Who, if anybody, may call.",
        "None: the page is over.",
        "As the fetcher sends it.",
        "It ends here.",
        "\n    Returns the id.",
    ],
)
def test_a_banned_opening_is_found(opening: str) -> None:
    function = f"def f():\n    {opening!r}"
    assert [line for line, _ in banned_openings(function)] == [2]
    assert [line for line, _ in banned_openings(f"{opening!r}\nLIMIT = 3\n{opening!r}")] == [1, 3]


@pytest.mark.parametrize(
    "opening",
    [
        "Return the id, None where there is none.",
        "Raise ``NotFound`` for a connection of another organisation.",
        "Assert that it ends.",
        "Items of one page, as the fetcher sends them.",
        "Whoa: not a clause.",
        "",
    ],
)
def test_a_plain_opening_passes(opening: str) -> None:
    assert list(banned_openings(f"def f():\n    {opening!r}\n    return 'What is returned.'")) == []

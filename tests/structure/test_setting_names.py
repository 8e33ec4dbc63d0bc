"""A message or a page that names a setting names one that exists, with its prefix."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from shared.providers import load_providers
from shared.settings.variables import (
    GENERAL,
    KNOWN_ELSEWHERE,
    PER_PROVIDER,
    PREFIX,
    provider_prefix,
)
from tests.structure.tree import name, product_files, text, tracked_files

PREFIXES = ("P_", *(provider_prefix(slug) for slug in load_providers()))
SETTINGS = {
    *KNOWN_ELSEWHERE,
    *(PREFIX + one.name for one in GENERAL),
    *(PREFIX + prefix + one.name for prefix in PREFIXES for one in PER_PROVIDER),
}
BARE = {one.name for one in (*GENERAL, *PER_PROVIDER) if "_" in one.name}
OTHERS = {"SASL_PLAINTEXT", "SASL_SSL", "RECORD_ID"}
"""Values of a setting, and a word of a formula, that look like settings."""
WORD = re.compile(r"(?<![\w}])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?!\w)")


def sentences(source: str) -> Iterator[str]:
    """Yield each string with a space in it, docstrings left out; ``{}`` stands for a value."""
    pending: list[ast.AST] = [ast.parse(source)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.JoinedStr):
            yield "".join(_part(one) for one in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.value
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            pending += ast.iter_child_nodes(node)


def _part(of_string: ast.expr) -> str:
    return str(of_string.value) if isinstance(of_string, ast.Constant) else "{}"


def strange(words: str) -> set[str]:
    """Return what looks like a setting in a sentence of ours, and is none."""
    return set(WORD.findall(words)) - SETTINGS - OTHERS


def cut_short(page: str) -> set[str]:
    """Return the settings that a page names without their prefix, or with it and misspelt."""
    found = set(WORD.findall(page))
    return (found & BARE) | {word for word in found if word.startswith(PREFIX)} - SETTINGS


def test_every_setting_that_a_message_names_exists() -> None:
    found = []
    for path in product_files(".py"):
        for sentence in sentences(text(path)):
            found += [f"{name(path)}: {word}" for word in strange(sentence)]
    assert found == []


def test_every_setting_that_a_page_names_exists() -> None:
    pages = [path for path in tracked_files() if path.suffix in {".md", ".html"}]
    assert [(name(path), words) for path in pages if (words := cut_short(text(path)))] == []


@pytest.mark.parametrize(
    "code",
    ['"Set ALLOWED_ORIGINS."', 'f"Set {x} in ALLOWED_ORIGINS."', '"Set TRIBUTARY_HOSTS it."'],
)
def test_a_name_without_its_prefix_or_misspelt_is_found(code: str) -> None:
    assert [word for one in sentences(f"fail({code})") for word in strange(one)]
    assert cut_short(code)


@pytest.mark.parametrize("code", ['"Set TRIBUTARY_HOST."', 'f"Set {PREFIX}DATA_DIR, or none."'])
def test_a_full_name_passes(code: str) -> None:
    assert [word for one in sentences(f"fail({code})") for word in strange(one)] == []
    assert cut_short(code) == set()

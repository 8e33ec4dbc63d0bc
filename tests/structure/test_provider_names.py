"""Knowledge of a provider stays in its two folders: the product's and the sandbox's."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.structure.tree import ROOT, name, product_files, text

HOMES = (ROOT / "shared" / "providers", ROOT / "deploy" / "sandbox" / "providers")
SLUGS = sorted(
    {
        path.name
        for home in HOMES
        for path in home.glob("[a-z]*")
        if path.is_dir() and path.name != "tests"
    }
)


def says_which_provider(node: ast.AST) -> bool:
    """Return whether an expression is called provider or slug: `provider`, `row["provider"]`."""
    match node:
        case (
            ast.Name(id=word)
            | ast.Attribute(attr=word)
            | ast.Subscript(slice=ast.Constant(value=str(word)))
        ):
            return word in {"provider", "provider_slug", "slug"}
        case _:
            return False


def literal(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=str()):
            return True
        case ast.Tuple(elts=elements) | ast.Set(elts=elements) | ast.List(elts=elements):
            return any(literal(element) for element in elements)
        case _:
            return False


def branches_on_a_provider(source: str) -> Iterator[int]:
    """Yield the lines that compare a provider with a literal, by operator or by `match`."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Compare(left=left, comparators=others):
                sides = [left, *others]
                if any(map(says_which_provider, sides)) and any(map(literal, sides)):
                    yield node.lineno
            case ast.Match(subject=subject, cases=cases) if says_which_provider(subject):
                if any(isinstance(case.pattern, ast.MatchValue | ast.MatchOr) for case in cases):
                    yield node.lineno


def owners(path: Path) -> set[str]:
    """Return the slugs of the providers in whose folders ``path`` lies, one or none."""
    return {slug for home in HOMES for slug in SLUGS if home / slug in path.parents}


def test_no_provider_is_named_outside_its_folder() -> None:
    slugs = re.compile("|".join(SLUGS) or r"(?!)", re.IGNORECASE)
    outside = (path for path in product_files() if not owners(path))
    found = [
        f"{name(path)}:{number} {line.strip()}"
        for path in outside
        for number, line in enumerate(text(path).splitlines(), start=1)
        if slugs.search(line)
    ]
    assert found == []


def test_a_provider_folder_does_not_name_another_provider() -> None:
    found = []
    for own in SLUGS:
        others = re.compile(
            "|".join(slug for slug in SLUGS if slug != own) or r"(?!)", re.IGNORECASE
        )
        files = (path for path in product_files() if owners(path) == {own})
        found += [name(path) for path in files if others.search(text(path))]
    assert found == []


def test_no_code_branches_on_which_provider_it_is() -> None:
    found = [
        f"{name(path)}:{line}"
        for path in product_files(".py")
        for line in branches_on_a_provider(text(path))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("if provider == 'acme': pass", [1]),
        ("if row['provider'] in ('acme', 'other'): pass", [1]),
        ("x = 1 if 'acme' != connection.provider else 2", [1]),
        ("match provider.slug:\n    case 'acme': pass", [1]),
        ("query.where(items.c.provider == provider)", []),
        ("if provider is None: pass", []),
    ],
)
def test_a_branch_on_a_provider_is_found_and_a_filter_is_not(source: str, found: list[int]) -> None:
    assert list(branches_on_a_provider(source)) == found

"""Read the product's syntax trees, for pages that list what the code says."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
ROOMS: Final = ("services", "shared", "deploy")
LEFT_OUT: Final = frozenset({"tests", "migrations", "reference"})


class SourceModule(NamedTuple):
    """A module of the product: its path from the root of the checkout, and its syntax tree."""

    path: str
    tree: ast.Module


def modules(root: Path = ROOT) -> Iterator[SourceModule]:
    """Yield every module of the product in the order of the paths, without tests and migrations."""
    for room in ROOMS:
        for file in sorted((root / room).rglob("*.py")):
            parts = file.relative_to(root).parts
            if not LEFT_OUT.intersection(parts):
                yield SourceModule("/".join(parts), ast.parse(file.read_text("utf-8")))


def literal(node: ast.expr | None) -> str | None:
    """Return the text of a string constant, None for anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"

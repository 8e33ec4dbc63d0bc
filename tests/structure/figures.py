"""``python -m tests.structure.figures``: how the code reads, folder by folder.

Prints comment lines, docstrings, comprehensions and ternaries per 1,000 lines, of the product and
of the tests beside it apart. The figures are looked at, not gated.
"""

import ast
import io
import sys
import tokenize
from collections import Counter
from typing import Final

from tests.structure.tree import name, text, tracked_files

FOLDERS: Final = (
    "services/auth",
    "services/fetcher",
    "services/gateway",
    "shared/providers",
    "shared",
    "deploy",
    "benchmarks",
    "tests",
)
WIDTH: Final = 30
BESIDE: Final = "its tests"
"""Added to a folder's name for the tests that lie in it."""
KINDS: Final = ("comments", "docstrings", "comprehensions", "ternaries")
COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def counted(source: str) -> Counter[str]:
    """Return the number of lines and of each of ``KINDS``; a ``noqa`` is no comment."""
    found = Counter(lines=len(source.splitlines()))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and "noqa" not in token.string:
            found["comments"] += 1
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found["docstrings"] += isinstance(node.value.value, str)
        found["comprehensions"] += isinstance(node, COMPREHENSIONS)
        found["ternaries"] += isinstance(node, ast.IfExp)
    return found


def figures() -> dict[str, Counter[str]]:
    """Return folder → counts over its Python files; a folder's tests have a line of their own.

    A file counts once, for the first of ``FOLDERS`` that holds it.
    """
    found: dict[str, Counter[str]] = {}
    for folder in FOLDERS:
        found[folder] = Counter()
        found[f"{folder}, {BESIDE}"] = Counter()
    for path in tracked_files():
        holds = [folder for folder in FOLDERS if name(path).startswith(f"{folder}/")]
        if path.suffix != ".py" or not holds:
            continue
        inside = name(path).removeprefix(f"{holds[0]}/").split("/")
        line = f"{holds[0]}, {BESIDE}" if "tests" in inside else holds[0]
        found[line] += counted(text(path))
    return {line: counts for line, counts in found.items() if counts}


def main() -> None:
    sys.stdout.write(f"{'per 1,000 lines':{WIDTH}}{'lines':>8}")
    sys.stdout.write("".join(f"{kind:>16}" for kind in KINDS) + "\n")
    for folder, found in figures().items():
        sys.stdout.write(f"{folder:{WIDTH}}{found['lines']:>8,}")
        rates = [1000 * found[kind] / max(found["lines"], 1) for kind in KINDS]
        sys.stdout.write("".join(f"{rate:>16.1f}" for rate in rates) + "\n")


if __name__ == "__main__":
    main()

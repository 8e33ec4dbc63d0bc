"""A public class name means one thing in the product and its sandbox."""

import ast
from collections import defaultdict
from pathlib import Path

from tests.structure.tree import ROOT, name, product_files, text

PROVIDERS = (ROOT / "shared" / "providers", ROOT / "deploy" / "sandbox" / "providers")
WHERE = (ROOT / "services", ROOT / "shared", ROOT / "deploy" / "sandbox")


def role(path: Path) -> str:
    """Return what a file is: the same file of two providers is one role, every other file is its own."""
    for home in PROVIDERS:
        if home in path.parents and path.parent != home:
            return f"{name(home)}/*/{path.name}"
    return name(path)


def test_no_class_of_the_sandbox_has_the_name_of_another() -> None:
    roles: dict[str, set[str]] = defaultdict(set)
    for path in product_files(".py"):
        if any(root in path.parents for root in WHERE):
            for node in ast.parse(text(path)).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    roles[node.name].add(role(path))
    several = {named: sorted(found) for named, found in roles.items() if len(found) > 1}
    assert {
        named: found for named, found in several.items() if any(one.startswith("deploy/sandbox/") for one in found)
    } == {}

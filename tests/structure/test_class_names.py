"""A public class name means one thing in the product and its sandbox."""

import ast
from collections import defaultdict
from pathlib import Path

from tests.structure.tree import ROOT, name, product_files, text

PROVIDERS = (ROOT / "shared" / "providers", ROOT / "deploy" / "sandbox" / "providers")
SANDBOX = ROOT / "deploy" / "sandbox"


def role(path: Path) -> str:
    """Return what a file is: the same file of two providers has one role, any other its own."""
    for home in PROVIDERS:
        if home in path.parents and path.parent != home:
            return f"{name(home)}/*/{path.name}"
    return name(path)


def classes(*roots: Path) -> dict[str, set[str]]:
    """Return public class name → the roles of the files below ``roots`` that define it."""
    roles: dict[str, set[str]] = defaultdict(set)
    for path in product_files(".py"):
        if any(root in path.parents for root in roots):
            names = [
                node.name for node in ast.parse(text(path)).body if isinstance(node, ast.ClassDef)
            ]
            for class_name in names:
                if not class_name.startswith("_"):
                    roles[class_name].add(role(path))
    return roles


def test_no_class_of_the_sandbox_has_the_name_of_another() -> None:
    found = classes(ROOT / "services", ROOT / "shared", SANDBOX)
    inside = classes(SANDBOX)
    assert inside
    assert {
        class_name: sorted(found[class_name]) for class_name in inside if len(found[class_name]) > 1
    } == {}


def test_no_class_of_what_we_deploy_with_has_the_name_of_another() -> None:
    several = {
        class_name: sorted(files)
        for class_name, files in classes(ROOT / "deploy").items()
        if len(files) > 1
    }
    assert several == {}

"""Tests hold beside a busy neighbour: they wait for events, and chance has a seed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.structure.tree import name, text, tracked_files

SLEEPERS = {
    "tests/chaos/": "a fault lasts for a while; its length is part of the scenario",
    "tests/screenshots.py": "a picture is taken after the page has moved",
    "tests/strangers/programs/walk.py": "a customer's program, without our helpers",
    "tests/support/waiting.py": "the others wait with it",
    "services/auth/tests/test_refresh.py": "of the refreshes that must not happen",
    "shared/tests/test_clock.py": "the clock's own tests",
    "shared/tests/test_http_client.py": "a server that drips",
    "tests/contract/test_database.py": "cancels at a random moment",
    "tests/contract/test_redis_faults.py": "windows of Redis pass in real time",
}
CLOCKS = {"monotonic", "perf_counter", "process_time"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for file in tracked_files():
        if file.suffix == ".py" and "tests" in Path(name(file)).parts:
            yield name(file), ast.parse(text(file))


def calls(tree: ast.AST, names: set[str]) -> bool:
    return any(
        isinstance(node, ast.Call) and getattr(node.func, "attr", None) in names
        for node in ast.walk(tree)
    )


def test_only_those_sleep_who_say_why() -> None:
    found = {file for file, tree in modules() if calls(tree, {"sleep"})}
    assert [file for file in sorted(found) if not file.startswith(tuple(SLEEPERS))] == []


def test_no_test_asserts_an_upper_bound_on_elapsed_time() -> None:
    found = [
        f"{file}:{node.lineno}"
        for file, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
        if bounds_time(node.test)
    ]
    # Give-up times of loops that watch a process; each is a patience of a minute or more.
    assert [one for one in found if not one.startswith("tests/chaos/")] == []


def bounds_time(test: ast.expr) -> bool:
    compared = [node for node in ast.walk(test) if isinstance(node, ast.Compare)]
    return any(is_upper(node) and calls(node, CLOCKS) for node in compared)


def is_upper(node: ast.Compare) -> bool:
    return any(isinstance(op, ast.Lt | ast.LtE) for op in node.ops)


def test_no_module_has_chance_of_its_own() -> None:
    found = []
    for file, tree in modules():
        assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
        found += [file for node in assigned if calls(node, {"Random"})]
    assert found == []

"""Find in the syntax tree of a test what tests must not do; each rule yields lines."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import Final

from tests.structure.tree import PRODUCT

Rule = Callable[[ast.Module], Iterator[int]]

CLOCKS: Final = {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time"}
PAUSES: Final = {"sleep", "wait_for_timeout"}
PATCHES: Final = {"setattr", "delattr", "setitem", "delitem"}
SELF: Final = {"self", "cls"}
NAMED_TUPLES: Final = {"_asdict", "_fields", "_make", "_replace"}
"""Public all the same: the underscore keeps them apart from a tuple's own fields."""
LISTENERS: Final = {
    "bind",
    "connect",
    "connect_ex",
    "create_connection",
    "create_server",
    "open_connection",
    "start_server",
}
FIRST_PORT: Final = 1024
"""Lower numbers stand for a server that is away: nobody listens there."""
LIMITED: Final = {"communicate", "run", "wait", "wait_for"}
SENDS: Final = {"AsyncClient", "Client", "delete", "get", "patch", "post", "put", "stream"}
PATIENT_S: Final = 30.0
SLACK_S: Final = 600.0
"""A machine that is busy takes less than this between two statements."""
DURATION: Final = re.compile(
    r"(^|_)(age|closed|elapsed|late|seconds|silent|took|waits?)(_|$)|expires_in|retry.after"
)
"""The words by which waits and ages are known: names, and strings such as a header's."""


def pauses(tree: ast.Module) -> Iterator[int]:
    """Yield the lines that sleep, here or in a browser."""
    yield from (node.lineno for node in calls(tree) if called(node) in PAUSES)


def upper_bounds(tree: ast.Module) -> Iterator[int]:
    """Yield the assertions that time passed, or a wait or an age, is less than something.

    Two moments lie as far apart as the machine is busy, so what is measured between them has no
    upper bound, and what is left of a wait has no close one.
    """
    for scope in functions(tree):
        names = elapsed_names(scope)
        for node in ast.walk(scope):
            if not isinstance(node, ast.Assert):
                continue
            if bounds_time(node.test, names) or bounds_duration(node.test):
                yield node.lineno


def elapsed_names(scope: ast.AST) -> set[str]:
    """Return the names that hold time passed, or what was made of it."""
    values = [*assigned(scope), *appended(scope)]
    found: set[str] = set()
    while True:
        more = {
            target for target, value in values if is_elapsed(value) or found & names_in(value)
        } - found
        if not more:
            return found
        found |= more


def bounds_time(test: ast.expr, elapsed: set[str]) -> bool:
    for node in ast.walk(test):
        if isinstance(node, ast.Compare):
            for smaller in smaller_sides(node):
                if reads_clock(smaller) or elapsed.intersection(names_in(smaller)):
                    return True
    return False


def bounds_duration(test: ast.expr) -> bool:
    """Return True if a wait or an age has to be within bounds that are close together."""
    for node in ast.walk(test):
        if isinstance(node, ast.Call) and called(node) == "approx" and "abs" in keywords(node):
            return True
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(is_duration(side) for side in sides) and is_close(node):
                return True
    return False


def is_close(node: ast.Compare) -> bool:
    """Return True for numbers on both sides that are close, and for a small one above."""
    sides = [node.left, *node.comparators]
    above, below = sides[-1], sides[0]
    if isinstance(node.ops[0], ast.Gt | ast.GtE):
        above, below = below, above
    elif not isinstance(node.ops[0], ast.Lt | ast.LtE):
        return False
    if number(above) < 0:
        return False
    return number(above) - max(number(below), 0.0) < SLACK_S


def is_duration(node: ast.expr) -> bool:
    words = names_in(node)
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute):
            words.add(part.attr)
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            words.add(part.value)
    return any(DURATION.search(word) for word in words)


def smaller_sides(node: ast.Compare) -> Iterator[ast.expr]:
    """Yield what has to be the smaller one, for each pair of a comparison."""
    left = node.left
    for sign, right in zip(node.ops, node.comparators, strict=True):
        if isinstance(sign, ast.Lt | ast.LtE):
            yield left
        if isinstance(sign, ast.Gt | ast.GtE):
            yield right
        left = right


def is_elapsed(value: ast.expr) -> bool:
    """Return True for the difference of two readings of a clock, whatever is made of it."""
    return any(
        isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and reads_clock(node)
        for node in ast.walk(value)
    )


def reads_clock(node: ast.AST) -> bool:
    return any(called(call) in CLOCKS for call in calls(node))


def chance_of_a_module(tree: ast.Module) -> Iterator[int]:
    """Yield the assignments that give a whole module one source of chance."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(called(call) == "Random" for call in calls(node)):
            yield node.lineno


def patches(tree: ast.Module) -> Iterator[int]:
    """Yield the lines that change our own code while it runs, or bring in mocks."""
    own = {local for local, module in imported(tree) if is_own(module)}
    foreign = {local for local, module in imported(tree) if not is_own(module)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            if any(module.startswith("unittest.mock") for _, module in imported(node)):
                yield node.lineno
        elif isinstance(node, ast.Call) and called(node) in PATCHES:
            if node.args and not root(node.args[0]) & foreign:
                yield node.lineno
        else:
            yield from (found.lineno for found in attributes_set(node) if root(found) & own)


def attributes_set(node: ast.AST) -> Iterator[ast.Attribute]:
    """Yield the attributes that a statement assigns or deletes."""
    targets: list[ast.expr] = []
    match node:
        case ast.Assign() | ast.Delete():
            targets = node.targets
        case ast.AugAssign() | ast.AnnAssign():
            targets = [node.target]
        case _:
            pass
    yield from (target for target in targets if isinstance(target, ast.Attribute))


def fixed_ports(tree: ast.Module) -> Iterator[int]:
    """Yield the lines that listen at, or connect to, a port of a certain number."""
    for node in calls(tree):
        numbers = [word.value for word in node.keywords if (word.arg or "").endswith("port")]
        if called(node) in LISTENERS:
            for place in node.args:
                numbers += place.elts[1:2] if isinstance(place, ast.Tuple) else [place]
        if any(number(value) >= FIRST_PORT for value in numbers):
            yield node.lineno


def unserved(tree: ast.Module) -> Iterator[int]:
    """Yield the lines that call an app without the product's own server."""
    for node in ast.walk(tree):
        match node:
            case ast.Import() | ast.ImportFrom():
                if any(is_test_client(path) for _, path in imported(node)):
                    yield node.lineno
            case ast.Attribute(attr=last):
                if is_test_client(last):
                    yield node.lineno
            case ast.Call(func=ast.Attribute(value=ast.Name(id="uvicorn"), attr="run" | "Server")):
                yield node.lineno
            case _:
                pass


def is_test_client(word: str) -> bool:
    """Return True for the transports and clients of frameworks that speak to an app directly."""
    return word.endswith(("SGITransport", "TestClient"))


def private_names(tree: ast.Module) -> Iterator[int]:
    """Yield the lines that use a name which the product, or an object, keeps for itself.

    A class may use its own. Constants of a foreign library that merely begin with ``_`` are public.
    """
    own = {local for local, module in imported(tree) if is_own(module)}
    foreign = {local for local, module in imported(tree) if not is_own(module)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            paths = [module for _, module in imported(node) if is_own(module)]
            if any(is_private(part) for path in paths for part in path.split(".")):
                yield node.lineno
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            allowed = root(node.value) & (foreign | SELF) or node.attr in NAMED_TUPLES
            if not allowed and not is_super(node.value):
                yield node.lineno
        elif isinstance(node, ast.ClassDef) and any(root(base) & own for base in node.bases):
            yield from (used.lineno for used in supers(node))


def supers(node: ast.ClassDef) -> Iterator[ast.Attribute]:
    """Yield what a class takes from ``super()`` that its base keeps for itself."""
    for used in ast.walk(node):
        if isinstance(used, ast.Attribute) and is_private(used.attr) and is_super(used.value):
            yield used


def is_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and called(node) == "super"


def haste(tree: ast.Module) -> Iterator[int]:
    """Yield the waits for something to come that a busy machine might not keep.

    An httpx client that says no timeout gives up after five seconds.
    """
    for node in calls(tree):
        limits = [word.value for word in node.keywords if word.arg == "within"]
        if root(node.func) == {"asyncio"} and called(node) in {"timeout", "wait_for"}:
            limits += node.args[-1:]
        if root(node.func) == {"httpx"} and called(node) in SENDS and not names_timeout(node):
            yield node.lineno
        if called(node) in LIMITED:
            limits += [word.value for word in node.keywords if word.arg == "timeout"]
        if any(0 <= number(limit) < PATIENT_S for limit in limits):
            yield node.lineno


def names_timeout(node: ast.Call) -> bool:
    """Return True if a call names its timeout, or passes on what it was given."""
    return bool({"timeout", None} & keywords(node))


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def called(node: ast.Call) -> str:
    """Return the last name of what is called."""
    match node.func:
        case ast.Attribute(attr=last) | ast.Name(id=last):
            return last
        case _:
            return ""


def keywords(node: ast.Call) -> set[str | None]:
    return {word.arg for word in node.keywords}


def functions(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the outermost functions."""
    pending: list[ast.AST] = [tree]
    while pending:
        for node in ast.iter_child_nodes(pending.pop()):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node
            else:
                pending.append(node)


def assigned(scope: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names that are assigned, with their values."""
    for node in ast.walk(scope):
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    yield from parts(target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                yield from parts(target, value)
            case ast.NamedExpr(target=target, value=value):
                yield from parts(target, value)
            case _:
                pass


def appended(scope: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names of what is appended to, with the values."""
    for node in calls(scope):
        if called(node) == "append" and node.args and isinstance(node.func, ast.Attribute):
            yield from ((local, node.args[0]) for local in names_in(node.func.value))


def parts(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    match target, value:
        case ast.Tuple(elts=targets), ast.Tuple(elts=values):
            for one, its in zip(targets, values, strict=False):
                yield from parts(one, its)
        case ast.Name(id=local), _:
            yield local, value
        case _:
            pass


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield (local name, full path) of all that is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                yield one.asname or one.name.partition(".")[0], one.name
        elif isinstance(node, ast.ImportFrom):
            for one in node.names:
                yield one.asname or one.name, f"{node.module}.{one.name}"


def is_own(path: str) -> bool:
    """Return True for the product's code; that of its tests is not."""
    folders = path.split(".")
    return folders[0] in PRODUCT and "tests" not in folders


def is_private(word: str) -> bool:
    return word.startswith("_") and not word.startswith("__")


def root(node: ast.expr) -> set[str]:
    """Return the first name of a dotted expression, nothing for any other."""
    match node:
        case ast.Name(id=first):
            return {first}
        case ast.Attribute(value=value):
            return root(value)
        case _:
            return set()


def names_in(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def number(node: ast.expr) -> float:
    """Return a number that is written out, -1 for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    return -1.0

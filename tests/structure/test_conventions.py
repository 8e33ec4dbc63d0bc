"""Each convention has one spelling: constants, the logger, the transaction's parameter."""

from __future__ import annotations

import ast
import configparser
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.structure.tree import ROOT, name, product_files, text

ROOMS = ("deploy/", "services/", "shared/")
CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]+")
LOGGER = "log = structlog.get_logger()"
BROKER = "deploy/localkafka/"
BROKERS_LOGGER = "_logger = structlog.get_logger()"
"""In the broker a log is a partition's."""


def without_final(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=target)]) if CONSTANT.fullmatch(target):
                yield f"{node.lineno} {target} is not Final"


def odd_loggers(tree: ast.Module, logger: str) -> Iterator[str]:
    for node in tree.body:
        if (
            isinstance(node, ast.Assign)
            and "get_logger" in ast.unparse(node)
            and ast.unparse(node) != logger
        ):
            yield f"{node.lineno} {ast.unparse(node)}"


def odd_transactions(tree: ast.Module) -> Iterator[str]:
    """Yield public functions that misname their transaction; in shared.db a connection is more."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith(
            "_"
        ):
            continue
        for argument in (*node.args.args, *node.args.kwonlyargs):
            typed = (
                argument.annotation is not None
                and ast.unparse(argument.annotation) == "AsyncConnection"
            )
            if typed and argument.arg != "db":
                yield f"{node.lineno} {node.name} calls its transaction {argument.arg}"


def odd(source: str, *, logger: str = LOGGER) -> list[str]:
    tree = ast.parse(source)
    return [*without_final(tree), *odd_loggers(tree, logger), *odd_transactions(tree)]


def odd_in(path: Path) -> list[str]:
    return odd(text(path), logger=BROKERS_LOGGER if name(path).startswith(BROKER) else LOGGER)


def test_each_convention_has_one_spelling() -> None:
    held = [path for path in product_files(".py") if name(path).startswith(ROOMS)]
    assert len(held) > 50
    assert [f"{name(path)}:{line}" for path in held for line in odd_in(path)] == []


def test_what_is_spelled_otherwise_is_found() -> None:
    assert odd("LIMIT = 3") == ["1 LIMIT is not Final"]
    assert odd("_log = structlog.get_logger('x')") == ["1 _log = structlog.get_logger('x')"]
    assert odd("async def save(tx: AsyncConnection) -> None: ...") == [
        "1 save calls its transaction tx"
    ]
    fine = (
        "LIMIT: Final = 3\nT = TypeVar('T')\nlog = structlog.get_logger()\ndef save(db: "
        "AsyncConnection): ..."
    )
    assert odd(fine) == []


def test_editors_and_the_formatter_break_lines_at_the_same_column() -> None:
    formatter = tomllib.loads(text(ROOT / "pyproject.toml"))["tool"]["ruff"]["line-length"]
    editors = configparser.ConfigParser()
    editors.read_string("[top]\n" + text(ROOT / ".editorconfig"))
    assert editors.getint("*.py", "max_line_length") == formatter


ALIAS = re.compile(r"[A-Z]|[A-Z]\w*[a-z]\w*")


def public_names(source: str) -> Iterator[str]:
    """Yield the public classes and type aliases of a module, without its type variables."""
    for node in ast.parse(source).body:
        match node:
            case ast.ClassDef(name=found) if not found.startswith("_"):
                yield found
            case ast.Assign(value=ast.Call(func=ast.Name(id="TypeVar"))):
                pass
            case ast.Assign(targets=[ast.Name(id=found)]) if ALIAS.fullmatch(found):
                yield found
            case ast.AnnAssign(target=ast.Name(id=found)) if ALIAS.fullmatch(found):
                yield found
            case _:
                pass


def where(path: Path) -> str:
    """Return a file's name; one that each service or provider has gets the same for all."""
    match path.relative_to(ROOT).parts:
        case ("services", _, file):
            return f"services/*/{file}"
        case ("shared", "providers", _, file):
            return f"shared/providers/*/{file}"
        case _:
            return name(path)


def test_a_public_type_name_stands_once_or_in_the_same_file_of_each_service_or_provider() -> None:
    files: dict[str, set[str]] = {}
    for path in product_files(".py"):
        if name(path).startswith(("services/", "shared/")):
            for found in public_names(text(path)):
                files.setdefault(found, set()).add(where(path))
    assert len(files) > 100
    assert {found: names for found, names in files.items() if len(names) > 1} == {}


def test_classes_and_aliases_are_public_names() -> None:
    source = (
        "class A: ...\nB = dict[str, int]\nAlias = Literal['x']\nColumn: Final = String()\n"
        "class _C: ...\n_D = int\nT = TypeVar('T')\nLIMIT: Final = 3\nlog = get_logger()"
    )
    assert [*public_names(source)] == ["A", "B", "Alias", "Column"]

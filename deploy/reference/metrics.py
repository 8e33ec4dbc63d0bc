"""``docs/reference/metrics.md``: every metric, collected from the places that declare it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from deploy.reference.source import SourceModule, literal, modules, table

SERVICES: Final = (
    ("services/auth/", "auth"),
    ("services/fetcher/", "fetcher"),
    ("services/gateway/", "gateway"),
    ("shared/kafka/", "fetcher, gateway"),
    ("shared/", "all"),
)
"""Path → which services show what is declared there. Auth consumes no topic."""
KINDS: Final = {"Counter": "counter", "gauge": "gauge"}


class Shown(NamedTuple):
    """A metric as a scrape shows it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    services: str
    about: str


def _texts(tree: ast.AST) -> dict[str, str]:
    """Return the names that are given a text somewhere in ``tree``, with that text."""
    found = {}
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                found[name] = text
            case _:
                pass
    return found


def _shown(call: ast.Call, maker: str, module: SourceModule, texts: dict[str, str]) -> Shown | None:
    kind = KINDS[maker]
    name, about, *others = call.args
    labels = others if kind == "counter" else others[1:]
    text = texts.get(about.id) if isinstance(about, ast.Name) else literal(about)
    shown = literal(name)
    if shown is None or text is None:
        return None
    if kind == "counter":
        shown += "_total"
    services = next(who for path, who in SERVICES if module.path.startswith(path))
    return Shown(shown, kind, tuple(filter(None, map(literal, labels))), services, text)


def _scopes(tree: ast.Module) -> Iterator[tuple[ast.stmt, dict[str, str]]]:
    """Yield each statement that may declare a metric, with the texts its names may stand for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node, _texts(node)
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            yield statement, {}


def metrics(of: Iterable[SourceModule]) -> Iterator[Shown]:
    """Yield the metrics that the modules declare, each once."""
    for module in of:
        found = set()
        for scope, texts in _scopes(module.tree):
            for node in ast.walk(scope):
                match node:
                    case ast.Call(func=ast.Name(id=maker), args=[_, _, *_]) if maker in KINDS:
                        found.add(_shown(node, maker, module, texts))
        yield from (one for one in found if one is not None)


def metrics_page(_: str = "") -> str:
    rows = []
    for one in sorted(metrics(modules())):
        labels = ", ".join(f"`{label}`" for label in one.labels) or "-"
        rows.append((f"`{one.name}`", one.kind, labels, one.services, one.about))
    return INTRODUCTION + table(("metric", "kind", "labels", "shown by", "meaning"), rows) + NOTES


INTRODUCTION: Final = """\
<!-- Written by make generate from the metrics that the code declares. -->
# Metrics

Every service answers `GET /metrics` in Prometheus' text format. [operate.md](../operate.md#metrics)
says how to scrape them and when to look at each, and has the alerts.

"""
NOTES: Final = """
Besides, every process shows the `process_*` metrics of the Prometheus client: memory, CPU seconds,
open files.

Counters start at 0 with the process: add them up over all processes. `tributary_jobs`,
`tributary_workers`, `tributary_connections` and the two of the outbox are read from the database at
the moment of the scrape, so all processes of a service show the same number: take the maximum.
"""

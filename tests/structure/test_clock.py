"""Dates, waits and leases go by ``shared.clock``, so that one move of it moves them all."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.structure.tree import ROOT, product_files

REAL_TIME = {
    "shared/clock.py": "it is the clock",
    "shared/db/leader.py": "a lock's owner has to notice in real time that it may have lost it",
    "shared/kafka/admin.py": "a cluster settles in real time",
    "shared/kafka/log_ids.py": "a cluster settles in real time",
    "shared/kafka/metrics.py": "a handler that does not end is noticed in real time",
    "shared/kafka/poll.py": "readiness tells what Kafka answers now",
    "shared/process.py": "what is away just now is waited for at a start",
    "services/gateway/legacy/load.py": "an HTTP request is held open that long; freshness is ours",
    "services/gateway/syncs/routes.py": "a silent stream is closed by proxies in real time",
    "deploy/native/supervise.py": "processes start and end in real time",
    "deploy/servers/child.py": "processes start and end in real time",
    "deploy/upgrade/alone.py": "other processes leave in real time",
}
"""Each file that reads the machine's clock, and why."""
CLOCKS = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "localtime", "gmtime"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}
SQL = re.compile(
    r"julianday|unixepoch\(|clock_timestamp|current_timestamp|statement_timestamp|\bfunc\.now\b",
    re.IGNORECASE,
)
DATABASES = {"shared/db/statements.py"}


def clocks_read(tree: ast.AST) -> Iterator[int]:
    """Yield the lines on which the machine's clock, or the event loop's, is read or imported."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name) | ast.Attribute(attr=name), attr=attr):
                if attr in CLOCKS.get(name, set()):
                    yield node.lineno
            case ast.Attribute(value=ast.Call(func=ast.Attribute(attr=name)), attr="time"):
                if name in {"get_running_loop", "get_event_loop"}:
                    yield node.lineno
            case ast.ImportFrom(module="time", names=names):
                if CLOCKS["time"].intersection(name.name for name in names):
                    yield node.lineno
            case _:
                pass


def readers() -> dict[str, list[int]]:
    found = {}
    for path in product_files(".py"):
        lines = list(clocks_read(ast.parse(path.read_text())))
        if lines:
            found[str(path.relative_to(ROOT))] = lines
    return found


def test_only_files_with_a_reason_read_the_machines_clock() -> None:
    others = {file: lines for file, lines in readers().items() if file not in REAL_TIME}
    assert others == {}, "use shared.clock, or write the reason into REAL_TIME"


def test_a_reason_that_nobody_needs_is_taken_out() -> None:
    assert sorted(REAL_TIME.keys() - readers().keys()) == []


def test_a_database_is_asked_for_the_time_by_db_now_only() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in product_files(".py", ".sql")
        if SQL.search(path.read_text())
    }
    assert found == DATABASES


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("time.time()", 1),
        ("f(clock=time.monotonic)", 1),
        ("datetime.now(UTC)", 1),
        ("datetime.datetime.utcnow()", 1),
        ("asyncio.get_running_loop().time()", 1),
        ("from time import monotonic", 1),
        ("clock.now() + clock.monotonic() + self.now()", 0),
        ("time.perf_counter()", 0),
        ("datetime.fromisoformat(at)", 0),
    ],
)
def test_every_way_to_read_a_clock_is_seen(line: str, count: int) -> None:
    assert len(list(clocks_read(ast.parse(line)))) == count

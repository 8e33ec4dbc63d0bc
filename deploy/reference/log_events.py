"""``docs/reference/log-events.md``: every log event, collected from the calls that write it.

An event has a literal name, so that a name from a log leads to its line of code. What it means to
an operator stands in ``log_events.toml``; an event without a meaning, or a meaning without an
event, fails the check.
"""

from __future__ import annotations

import ast
import itertools
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from deploy.reference.source import SourceModule, literal, modules, table

LEVELS: Final = ("debug", "info", "warning", "error", "exception", "critical")
LOGGERS: Final = frozenset({"log", "_logger"})
NOT_FIELDS: Final = frozenset({"exc_info"})
SPEAKERS: Final = (
    ("services/auth/", "auth"),
    ("services/fetcher/", "fetcher"),
    ("services/gateway/", "gateway"),
    ("deploy/localkafka/", "local broker"),
    ("deploy/sandbox/", "sandbox"),
    ("deploy/", "start and stop"),
    ("", "any service"),
)
"""Path → who writes the line. Code of the kernel speaks for the service that calls it."""

MEANINGS: Final[Mapping[str, str]] = tomllib.loads(
    Path(__file__).with_name("log_events.toml").read_text("utf-8")
)
"""Event → the meaning that the page gives for it."""


class LogEvent(NamedTuple):
    """A call of the logger."""

    event: str
    level: str
    speaker: str
    fields: tuple[str, ...]


def _methods(node: ast.AST) -> list[str]:
    """Return the methods of a logger that an expression names."""
    found = []
    for part in ast.walk(node):
        match part:
            case ast.Attribute(value=ast.Name(id=logger), attr=method):
                if logger in LOGGERS and method in LEVELS:
                    found.append(method)
            case _:
                pass
    return found


def _chosen(tree: ast.Module) -> dict[str, list[str]]:
    """Return the names that stand for one of several methods of the logger, with those methods."""
    found: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.IfExp() as value):
                found[name] = _methods(value)
            case _:
                pass
    return found


def calls(module: SourceModule) -> Iterator[tuple[ast.Call, str]]:
    """Yield the calls of a module's logger, each with its method.

    A method may be chosen first (``say = log.debug if quiet else log.info``); such a call comes
    once for each.
    """
    chosen = _chosen(module.tree)
    for node in ast.walk(module.tree):
        match node:
            case ast.Call(func=ast.Attribute() as method):
                methods = _methods(method)
            case ast.Call(func=ast.Name(id=name)):
                methods = chosen.get(name, [])
            case _:
                continue
        yield from itertools.product([node], methods)


def events(of: Iterable[SourceModule]) -> Iterator[LogEvent]:
    """Yield what the modules log.

    Raises:
        ValueError: an event's name is not a literal.
    """
    for module in of:
        speaker = next(who for path, who in SPEAKERS if module.path.startswith(path))
        for call, method in calls(module):
            event = literal(call.args[0]) if call.args else None
            if event is None:
                raise ValueError(f"{module.path}:{call.lineno}: give the log event a literal name")
            level = "error" if method == "exception" else method
            fields = [keyword.arg for keyword in call.keywords if keyword.arg not in NOT_FIELDS]
            yield LogEvent(event, level, speaker, tuple(field for field in fields if field))


def complaints(found: Iterable[LogEvent], meanings: Mapping[str, str] = MEANINGS) -> list[str]:
    """Return a sentence for each fault of the meanings.

    An event has none, a meaning has no event, or a line is out of alphabetical order.
    """
    names = {one.event for one in found}
    where = "in deploy/reference/log_events.toml"
    missing = [f"say {where} what `{name}` means" for name in sorted(names - meanings.keys())]
    unused = [f"`{name}` is logged nowhere: remove it {where}" for name in meanings.keys() - names]
    return missing + sorted(unused) + [*misplaced([*meanings])]


def misplaced(names: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each name that is out of order, with where it belongs."""
    for at, (before, after) in enumerate(itertools.pairwise(names)):
        if before < after:
            continue
        # Either may be the one out of place: it is `after` if what follows fits `before`.
        fits = at + 2 == len(names) or before < names[at + 2]
        moved = after if fits else before
        above = max((name for name in names if name < moved), default=None)
        target = f"after `{above}`" if above else "at the top"
        yield f"`{moved}` is out of order in deploy/reference/log_events.toml: put it {target}"


def _row(event: str, found: Iterable[LogEvent]) -> tuple[str, ...]:
    ours = [one for one in found if one.event == event]
    levels = sorted({one.level for one in ours}, key=LEVELS.index)
    fields = dict.fromkeys(f"`{field}`" for one in ours for field in one.fields)
    speakers = dict.fromkeys(one.speaker for one in ours)
    meaning = MEANINGS.get(event, "")
    return f"`{event}`", ", ".join(levels), ", ".join(speakers), ", ".join(fields) or "-", meaning


def log_events_page(_: str = "") -> str:
    """Return the page; raise ValueError where an event has no meaning."""
    found = [*events(modules()), *BY_HAND]
    wrong = complaints(found)
    if wrong:
        raise ValueError("; ".join(wrong))
    names = sorted({one.event for one in found})
    rows = [_row(event, found) for event in names]
    return INTRODUCTION + table(("event", "level", "written by", "fields", "meaning"), rows)


BY_HAND: Final = (LogEvent("line_not_shown", "error", "any service", ("error",)),)
"""Written by the logging itself, where its logger cannot be used."""


INTRODUCTION: Final = """\
<!-- Written by make generate from the calls in the code. -->
# Log events

Every log line has `event`, `level`, `timestamp` and `service`; a line written while a request is
handled has the request's `request_id` as well. With `TRIBUTARY_LOG_FORMAT=json` each line is one
JSON object. Secrets are redacted before a line is written. An error that was caught carries its
traceback in `exception`.

"""

"""Show warnings and errors of a stack on the terminal, and keep everything else in its files."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from deploy.native.console import Console

QUIET = [
    '{"event": "request", "path": "/ERROR", "level": "info"}',
    "2026-11-28T04:00:00Z [info     ] connected   provider=hubspot",
    "2026-11-28 04:00:00.000 UTC [77] LOG:  database system is ready to accept connections",
    "04:00:00.123 WARN org.apache.kafka.server.Something - as intended",
    '{"event": "Heartbeat failed", "logger": "aiokafka.consumer", "level": "warning"}',
    "# Redis is starting oO0OoO0OoO0Oo",
    "2026-11-28 04:00:00.000 UTC [78] FATAL:  the database system is starting up",
]
LOUD = [
    '{"event": "quota_without_redis", "level": "warning"}',
    "2026-11-28T04:00:00Z [error    ] request_failed",
    "2026-11-28 04:00:00.000 UTC [77] FATAL:  could not write lock file",
    "04:00:00.123 ERROR org.apache.kafka.server.Something - no disk",
]


@pytest.mark.parametrize(
    ("line", "loud"), [(line, False) for line in QUIET] + [(line, True) for line in LOUD]
)
def test_warnings_and_errors_reach_the_terminal_under_the_name_of_the_process(
    line: str, loud: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Console(tmp_path)) as console:
        console.sink("part")(line)
    assert capsys.readouterr().err == (f"part      | {line}\n" if loud else "")
    assert (tmp_path / "part.log").read_text() == f"{line}\n"


def test_a_traceback_reaches_the_terminal_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    traceback = ["Traceback (most recent call last):", '  File "x.py", line 1', "KeyError: 'y'"]
    said = ["starting", *traceback, '{"event": "goes on", "level": "info"}', "quiet again"]
    with closing(Console(tmp_path)) as console:
        take = console.sink("part")
        for line in said:
            take(line)
    shown = capsys.readouterr().err.splitlines()
    assert shown == [f"part      | {line}" for line in traceback]

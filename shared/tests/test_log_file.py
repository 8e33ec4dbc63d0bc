"""With a file, everything is in the file, and the terminal shows what matters."""

from __future__ import annotations

import io
import json
import logging
import stat
from contextlib import closing, suppress
from pathlib import Path

import structlog

from shared.telemetry import LogFile, configure_logging


def test_the_file_gets_everything_and_the_terminal_warnings_and_errors(tmp_path: Path) -> None:
    terminal, path = io.StringIO(), tmp_path / "logs" / "here.log"
    file = LogFile(path)
    configure_logging("info", "json", terminal, file)
    log = structlog.get_logger()
    log.debug("detail")
    log.info("request", status=500)
    log.warning("wait")
    log.error("broken", password="hunter2")
    logging.getLogger("lib").info("said")
    logging.getLogger("lib").warning("warned")
    file.close()
    shown = [json.loads(line)["event"] for line in terminal.getvalue().splitlines()]
    kept = [json.loads(line)["event"] for line in path.read_text().splitlines()]
    assert shown == ["wait", "broken", "warned"]
    assert kept == ["request", "wait", "broken", "said", "warned"]
    assert "hunter2" not in path.read_text() + terminal.getvalue()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_full_file_becomes_the_predecessor_of_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "here.log"
    for number in range(6):  # also across restarts
        with closing(LogFile(path, limit=25)) as file:
            file.write(f"line {number}.\n")
            file.write(f"line {number}.\n")
    before = path.with_name("here.log.1").read_text()
    assert before.splitlines() == ["line 3.", "line 3.", "line 4."]
    assert path.read_text().splitlines() == ["line 4.", "line 5.", "line 5."]


def test_a_line_that_the_file_does_not_take_is_still_shown(tmp_path: Path) -> None:
    full = tmp_path / "full.log"
    full.symlink_to("/dev/full")
    terminal = io.StringIO()
    file = LogFile(full)
    configure_logging("info", "json", terminal, file)
    structlog.get_logger().warning("no room")
    assert "no room" in terminal.getvalue()
    with suppress(OSError):  # what it could not write is still in its buffer
        file.close()

"""Forks behave as processes that are started with ``python -m``."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support import forks
from tests.support.processes import clean
from tests.support.waiting import PATIENCE_S, eventually

MODULE = """
import os, sys, time
print(os.getcwd(), sys.argv[1:], os.environ["GIVEN"], __name__, flush=True)
print("to the error output", file=sys.stderr)
if sys.argv[1] == "stay":
    time.sleep(1000)
if sys.argv[1] == "raise":
    raise ValueError("a bug")
sys.exit(int(sys.argv[1]))
"""


def run(folder: Path, argument: str) -> forks.Forked:
    (folder / "mine.py").write_text(MODULE)
    with (folder / "errors").open("wb") as errors:
        env = {**clean(os.environ), "GIVEN": "a value"}
        return forks.start("mine", argument, cwd=folder, env=env, stderr=errors)


def first_line(process: forks.Forked) -> str:
    """Return its first line, once it has printed it; the others are not read."""
    assert process.stdout is not None
    with process.stdout:
        return process.stdout.readline().rstrip("\n")


def test_it_has_its_own_folder_arguments_environment_output_and_status(tmp_path: Path) -> None:
    process = run(tmp_path, "3")
    assert first_line(process) == f"{tmp_path} ['3'] a value __main__"
    assert process.wait(PATIENCE_S) == 3
    assert process.poll() == 3
    assert (tmp_path / "errors").read_text() == "to the error output\n"


def test_an_error_ends_it_with_a_traceback_and_status_one(tmp_path: Path) -> None:
    process = run(tmp_path, "raise")
    first_line(process)
    assert process.wait(PATIENCE_S) == 1
    assert "ValueError: a bug" in (tmp_path / "errors").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_signals_end_it(tmp_path: Path, number: signal.Signals) -> None:
    process = run(tmp_path, "stay")
    first_line(process)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0)
    process.send_signal(number)
    assert process.wait(PATIENCE_S) == -number


def test_several_live_side_by_side_and_each_tells_its_own_end(tmp_path: Path) -> None:
    processes = []
    for number in range(5):
        (tmp_path / str(number)).mkdir()
        processes.append(run(tmp_path / str(number), "stay"))
    for process in processes:
        first_line(process)
    processes[2].kill()
    assert processes[2].wait(PATIENCE_S) == -9
    assert [one.poll() for one in processes] == [None, None, -9, None, None]
    for process in processes:
        process.kill()
    eventually(lambda: all(one.poll() == -9 for one in processes))

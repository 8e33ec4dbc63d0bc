"""Run the product as ``deploy.local`` does, and note which of its modules take part.

``python -m tests.e2e.traced``: SIGUSR1 begins to note, SIGUSR2 writes the notes to the file that
``TRACED`` names: a line ``path name`` for each function that was called. Work that goes by the
clock whether anything happens or not (heartbeats, sweeps) is left out.
"""

from __future__ import annotations

import asyncio
import os
import runpy
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from tests.support.processes import ROOT

OURS = tuple(str(ROOT / folder) + os.sep for folder in ("services", "shared"))
BY_THE_CLOCK = {"heartbeat", "sweeper"}
noted: set[str] = set()


def note(frame: FrameType, event: str, _: Any) -> None:
    code = frame.f_code
    if event != "call" or code.co_name == "<module>" or not code.co_filename.startswith(OURS):
        return
    if not by_the_clock():
        noted.add(f"{os.path.relpath(code.co_filename, ROOT)} {code.co_qualname}")


def by_the_clock() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and task.get_name() in BY_THE_CLOCK


def begin(*_: Any) -> None:
    noted.clear()
    sys.setprofile(note)


def end(*_: Any) -> None:
    sys.setprofile(None)
    written = Path(os.environ["TRACED"])
    part = written.with_suffix(".part")
    part.write_text("\n".join(sorted(noted)))
    part.replace(written)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, end)
    sys.argv = ["deploy.local"]
    runpy.run_module("deploy.local", run_name="__main__")

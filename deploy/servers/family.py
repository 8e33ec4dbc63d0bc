"""Find a process and everything it has started, for signals that must reach all of them."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def family(pid: int) -> list[int]:
    """Return ``pid``, then its descendants.

    PostgreSQL's leave its process group, so signalling the group is not enough.
    """
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def stands_still(pid: int) -> bool:
    """Return True if it runs no code of its own after a SIGSTOP.

    Usually it is stopped (T). It may also wait in the kernel (D), and would stop on its way back. A
    shell that is starting a program waits so for its child (vfork), and does so for ever if that
    was stopped before it could become the program.
    """
    return _stat(Path(f"/proc/{pid}"))[:1] in (["T"], ["D"])


def _parent(entry: Path) -> int | None:
    stat = _stat(entry)
    return int(stat[1]) if stat else None


def _stat(entry: Path) -> list[str]:
    """Return its state, parent and so on; empty if the process is gone."""
    try:
        stat = (entry / "stat").read_text("utf-8", errors="replace")
    except OSError:
        return []
    return stat.rpartition(")")[2].split()  # the name before it may hold spaces and brackets


def signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)

"""Read what the kernel says about the processes under measurement."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from tests.support.client import Client

SANDBOX: Final = "sandbox"
SERVERS: Final = ("Kafka", "PostgreSQL", "Redis")


@dataclass(frozen=True)
class Part:
    """Name a process.

    ``name`` is one of ``SERVERS``, the sandbox, or a service; several processes may have the same
    name.
    """

    name: str
    process: psutil.Process

    @property
    def family(self) -> list[psutil.Process]:
        """Return the process and its children: PostgreSQL is many processes."""
        return [self.process, *self.process.children(recursive=True)]


class Running:
    """Hold a running installation, in parts, and the client that drives it."""

    def __init__(self, product: Client, parts: Sequence[Part]) -> None:
        self.product = product
        self.parts = parts

    @property
    def ours(self) -> set[str]:
        return {part.name for part in self.parts} - {SANDBOX, *SERVERS}

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds used since the start, including children that have ended."""
        used: dict[str, float] = defaultdict(float)
        for part in self.parts:
            used[part.name] += sum(_cpu_s(one) for one in part.family)
        return used

    def peak_mb(self) -> dict[str, float]:
        """Return the peak memory of each part: the largest process so far (MB of 10^6 bytes).

        For a part that is many processes it is what they hold together now, with shared pages
        counted once.
        """
        peaks: dict[str, float] = defaultdict(float)
        for part in self.parts:
            family = part.family
            held = _peak_mb(part.process) if len(family) == 1 else sum(map(_share_mb, family))
            peaks[part.name] = max(peaks[part.name], held)
        return peaks


def _cpu_s(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        used = process.cpu_times()
        return float(used.user + used.system + used.children_user + used.children_system)
    return 0.0


def _peak_mb(process: psutil.Process) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text("ascii")
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise RuntimeError("this kernel keeps no record of a process's peak memory")
    return int(found[1]) * 1024 / 1e6


def _share_mb(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        return float(process.memory_full_info().pss) / 1e6
    return 0.0

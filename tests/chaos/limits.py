"""Limit the resources of a running process: the size of its files, and its peak memory."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.chaos.child import Child

MIB = 1 << 20


@contextmanager
def disk_full(*children: Child) -> Iterator[None]:
    """Make every write fail that would make a file longer than one byte, while the block runs."""
    before = {child.pid: resource.prlimit(child.pid, resource.RLIMIT_FSIZE) for child in children}
    for pid, (_, hard) in before.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        for pid, limits in before.items():
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def forget_peak(child: Child) -> None:
    """Reset ``peak_mib``."""
    Path(f"/proc/{child.pid}/clear_refs").write_text("5")


def peak_mib(child: Child) -> float:
    """Return the largest amount of physical memory it has had at once."""
    status = Path(f"/proc/{child.pid}/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kib) * 1024 / MIB

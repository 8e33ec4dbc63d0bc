"""Run a module and record where its CPU time goes: ``python -m benchmarks.sampling FILE MODULE …``.

The main thread's stack is counted every few milliseconds of CPU time. FILE then holds ``[[stack,
count], …]``, a stack being ``[file, function]`` pairs, innermost first. Other threads do not
appear; they do little.
"""

from __future__ import annotations

import runpy
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

import greenlet  # type: ignore[import-untyped]  # SQLAlchemy runs on it; it ships no types
import msgspec

EVERY_S = 0.004
"""About one tick of the kernel's clock: a shorter interval would bring no more samples."""
DEEPEST = 120

Stack = tuple[tuple[str, str], ...]


def sampled(counts: Counter[Stack]) -> None:
    """Count stacks from now on, into ``counts``."""

    def sample(_signal: int, frame: FrameType | None) -> None:
        counts[_stack(frame)] += 1

    signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)


def _stack(frame: FrameType | None) -> Stack:
    """Return the stack; a greenlet's frames go on in its parent, which waits for it."""
    running = greenlet.getcurrent()
    stack: list[tuple[str, str]] = []
    while len(stack) < DEEPEST:
        if frame is None:
            if running.parent is None:
                break
            running = running.parent
            frame = running.gr_frame
            continue
        stack.append((frame.f_code.co_filename, frame.f_code.co_qualname))
        frame = frame.f_back
    return tuple(stack)


def run() -> None:
    _, out, module, *arguments = sys.argv
    sys.argv = [module, *arguments]
    counts: Counter[Stack] = Counter()
    sampled(counts)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        Path(out).write_bytes(msgspec.json.encode(list(counts.items())))


if __name__ == "__main__":
    run()

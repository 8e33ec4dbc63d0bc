"""Places at which a process can be told to stop itself, so that a test can kill it exactly there.

``TRIBUTARY_PAUSE_AT=after_items`` stops it the first time it comes to that place, ``after_items:3`` the third time.
Without the variable nothing happens.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Final, Literal

VARIABLE: Final = "TRIBUTARY_PAUSE_AT"
Place = Literal[
    "after_claim",
    "before_fetch",
    "after_page",
    "after_intend",
    "after_items",
    "after_checkpoint",
    "before_commit",
    "after_relay_send",
    "before_refresh_send",
    "after_refresh_answer",
    "after_refresh_store",
    "after_sync_row",
    "before_batch_commit",
]
_left: dict[str, int] = {}


def arm(wanted: str) -> None:
    """From now on this process stops where ``wanted`` says; an empty one stops nowhere."""
    _left.clear()
    if wanted:
        place, _, count = wanted.partition(":")
        _left[place] = int(count or 1)


def reached(place: Place) -> None:
    """The process goes on when somebody continues it (SIGCONT)."""
    if not _left or place not in _left:
        return
    _left[place] -= 1
    if _left[place] == 0:
        del _left[place]
        sys.stderr.write(f"paused at {place}\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGSTOP)

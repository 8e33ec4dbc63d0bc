"""Let a test stop a process at a named point, so that it can be killed exactly there.

``TRIBUTARY_FAILPOINT=after_items`` stops it when it reaches that point for the first time,
``after_items:3`` the third time. Without the variable nothing happens.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Final, Literal

VARIABLE: Final = "TRIBUTARY_FAILPOINT"
Failpoint = Literal[
    "after_claim",
    "before_fetch",
    "after_page",
    "after_record_pending",
    "after_items",
    "after_checkpoint",
    "before_commit",
    "after_relay_send",
    "before_refresh_send",
    "after_refresh_answer",
    "after_refresh_store",
    "after_sync_row",
    "before_batch_commit",
    "upgrade_begun",
    "topics_dropped",
    "topics_made",
    "fetcher_remade",
    "gateway_emptied",
]
_remaining: dict[str, int] = {}


def arm_failpoint(wanted: str) -> None:
    """Make this process stop at the point ``wanted`` names; an empty text names none."""
    _remaining.clear()
    if wanted:
        name, _, count = wanted.partition(":")
        _remaining[name] = int(count or 1)


def failpoint(name: Failpoint) -> None:
    """Stop here if told to, until somebody continues the process (SIGCONT)."""
    if not _remaining or name not in _remaining:
        return
    _remaining[name] -= 1
    if _remaining[name] == 0:
        del _remaining[name]
        sys.stderr.write(f"stopped at failpoint {name}\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGSTOP)

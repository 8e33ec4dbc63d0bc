"""The job table: claimed with an epoch, changed only by who holds the claim, each change told to the job's syncs.

A job is ``ready`` (a wake-up is on its way), ``running`` (a worker holds it), waits for its ``turn`` (as many of the
connection's are out as may be) or for its lane (``waiting``), or is over: ``done``, ``incomplete`` or ``failed``.
Whatever changes a job holds the lock of its connection (``Database.write``).
"""

from services.fetcher.jobs.claim import LostClaimError, claim, intend
from services.fetcher.jobs.end import end
from services.fetcher.jobs.find import find, get, in_state, unfinished
from services.fetcher.jobs.made import add, join
from services.fetcher.jobs.save import DISCONNECTED, go_on, park, save
from services.fetcher.jobs.wake import wake_again

__all__ = [
    "DISCONNECTED",
    "LostClaimError",
    "add",
    "claim",
    "end",
    "find",
    "get",
    "go_on",
    "in_state",
    "intend",
    "join",
    "park",
    "save",
    "unfinished",
    "wake_again",
]

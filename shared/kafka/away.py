"""Faults that are nobody's: the database or Kafka is away, and the same will work when it is back."""

from __future__ import annotations

from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

PAUSE_S = 0.5
AWAY = (OperationalError, InterfaceError, PoolTimeoutError, KafkaError, OSError)
PASSING = ("08", "40", "53", "55", "57", "58", "25006", "25P03")
"""Beginnings of SQLSTATE codes that pass (PostgreSQL, appendix A): no connection, a standby that only reads, a
deadlock, no resources or room, a lock that somebody holds too long, an operator or a limit that intervened, the
system's own trouble."""


def is_away(error: BaseException) -> bool:
    """Whether to try again for as long as it takes; a message that is too large stays too large."""
    if isinstance(error, MessageSizeTooLargeError):
        return False
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or ""
        return error.connection_invalidated or isinstance(error, AWAY) or state.startswith(PASSING)
    return isinstance(error, AWAY)

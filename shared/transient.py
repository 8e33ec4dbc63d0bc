"""Faults that pass by themselves: the database or Kafka is away, and the same will work when it is back."""

from __future__ import annotations

from typing import Final

from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

RETRY_S: Final = 0.5
"""Seconds from one try to the next while such a fault lasts."""

_TRANSIENT: Final = (OperationalError, InterfaceError, PoolTimeoutError, KafkaError, OSError)
_SQLSTATES: Final = ("08", "40", "53", "55", "57", "58", "25006", "25P03")
"""Beginnings of SQLSTATE codes that pass (PostgreSQL, appendix A): no connection, a standby that only reads, a
deadlock, no resources or room, a lock that somebody holds too long, an operator or a limit that intervened, the
system's own trouble."""


def is_transient(error: BaseException) -> bool:
    """Return True if the same will work later, so that it is tried again for as long as it takes."""
    if isinstance(error, MessageSizeTooLargeError):
        return False  # it stays too large
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or ""
        return (
            error.connection_invalidated
            or isinstance(error, _TRANSIENT)
            or state.startswith(_SQLSTATES)
        )
    return isinstance(error, _TRANSIENT)

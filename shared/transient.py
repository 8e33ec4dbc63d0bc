"""Recognise faults that pass by themselves: the database or Kafka is away for now."""

from __future__ import annotations

from typing import Final

from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

RETRY_S: Final = 0.5
"""Seconds between two attempts while such a fault lasts."""

_TRANSIENT: Final = (OperationalError, InterfaceError, PoolTimeoutError, KafkaError, OSError)
_SQLSTATES: Final = ("08", "40", "53", "55", "57", "58", "25006", "25P03")
"""Prefixes of SQLSTATE codes that pass (PostgreSQL, appendix A): no connection, a read-only
standby, a deadlock, out of resources, a lock held too long, an operator's intervention, trouble
of the system."""


def is_transient(error: BaseException) -> bool:
    """Return True if the same may work later, so that it is worth trying again."""
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

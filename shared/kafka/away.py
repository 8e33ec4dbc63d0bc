"""Faults that are nobody's: the database or Kafka is away, and the same will work when it is back."""

from __future__ import annotations

from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

PAUSE_S = 0.5
AWAY = (OperationalError, InterfaceError, PoolTimeoutError, KafkaError, OSError)


def is_away(error: BaseException) -> bool:
    """Whether to try again for as long as it takes; a message that is too large stays too large."""
    return isinstance(error, AWAY) and not isinstance(error, MessageSizeTooLargeError)

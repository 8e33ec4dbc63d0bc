"""How the text of a server's variable becomes a value; see ``readers``. None of the sentences repeats a password."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from shared.settings.readers import words
from shared.settings.secret import SecretStr

_BROKER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):(\d{1,5})")
PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def database(text: str) -> SecretStr:
    """``postgresql://user[:password]@host[:port]/database``, kept as written."""
    parts = _parts(text)
    if parts is None or parts.scheme not in {"postgresql", "postgres"} or not parts.hostname or len(parts.path) < 2:
        raise ValueError("is no PostgreSQL URL. Write postgresql://user:password@host:5432/database.")
    return SecretStr(text)


def redis(text: str) -> SecretStr:
    parts = _parts(text)
    if parts is None or parts.scheme not in {"redis", "rediss"} or not parts.hostname:
        raise ValueError("is no Redis URL. Write redis://host:6379/0, or rediss:// for TLS.")
    return SecretStr(text)


def bootstrap(text: str) -> tuple[str, ...]:
    """``host:port`` of one or more brokers."""
    found = words(text)
    wrong = [entry for entry in found if not _is_broker(entry)]
    if wrong:
        raise ValueError(f"has the entry {wrong[0]!r}, which is no host:port. Write kafka-1:9092,kafka-2:9092.")
    return found


def security_protocol(text: str) -> str:
    return _one_of(text, PROTOCOLS)


def sasl_mechanism(text: str) -> str:
    return _one_of(text, MECHANISMS)


def file(text: str) -> Path:
    """A file that has to be there now."""
    path = Path(text).expanduser()
    if not path.is_file():
        raise ValueError("is not a file that can be read. Name an existing one, or leave the variable out.")
    return path


def _is_broker(entry: str) -> bool:
    found = _BROKER.fullmatch(entry)
    return found is not None and 1 <= int(found[2]) <= 65_535


def _parts(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        sound = parts.port is None or parts.port > 0
    except ValueError:
        return None
    return parts if sound else None


def _one_of(text: str, allowed: tuple[str, ...]) -> str:
    raised = text.upper()
    if raised not in allowed:
        raise ValueError(f"is not known. Write one of: {', '.join(allowed)}.")
    return raised

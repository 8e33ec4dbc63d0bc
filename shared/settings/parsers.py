"""Turn the text of a variable into a value, or raise ValueError: the problem, and what to write.

The text never repeats a key or a password.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from shared.settings.secret import SecretStr

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_BROKER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):(\d{1,5})")
PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def port(text: str) -> int:
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= 65_535:
        raise ValueError("is no port. Write a number from 1 to 65535.")
    return int(text)


def count(text: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) < 1:
        raise ValueError(
            "is no count. Write a whole number from 1, or leave the variable out for no limit."
        )
    return int(text)


def seconds(text: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) < 1:
        raise ValueError("is no time in seconds. Write a whole number from 1, such as 3600.")
    return int(text)


def address(text: str) -> str:
    """Check for an IP address to listen on, or ``localhost``; other names are not resolved."""
    if text != "localhost":
        try:
            ipaddress.ip_address(text)
        except ValueError:
            raise ValueError(
                "is no address. Write an IP address, such as 127.0.0.1 or 0.0.0.0, or localhost."
            ) from None
    return text


def folder(text: str) -> Path:
    return Path(text).expanduser()


def secret(text: str) -> SecretStr:
    return SecretStr(text)


def text(text: str) -> str:
    return text


def entries(text: str) -> tuple[str, ...]:
    """Split at commas and white space."""
    return tuple(re.split(r"[,\s]+", text.strip(", \t\r\n")))


def level(text: str) -> str:
    return _one_of(text.lower(), ("debug", "info", "warning", "error", "critical"))


def switch(text: str) -> bool:
    return _one_of(text.lower(), ("true", "false")) == "true"


def log_format(text: str) -> str:
    return _one_of(text.lower(), ("auto", "json", "pretty"))


def url(text: str) -> str:
    """Check for an absolute http(s) URL, which is kept as written.

    A template may stand in its path, a tenant in its query.
    """
    parts = _http_url(text)
    if parts.fragment:
        raise ValueError("has a #fragment, which is never sent. Remove it.")
    return text.rstrip("/") if not parts.query else text


def origin(text: str) -> str:
    """Return ``scheme://host[:port]`` as browsers write it: lower case, no default port."""
    parts = _http_url(text)
    if parts.path not in {"", "/"} or parts.query or parts.fragment or "?" in text or "#" in text:
        raise ValueError(
            "has a path or a query. Write scheme://host or scheme://host:port, and nothing more."
        )
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    standard = parts.port in {None, _DEFAULT_PORTS[parts.scheme]}
    return f"{parts.scheme}://{shown}" if standard else f"{parts.scheme}://{shown}:{parts.port}"


def origins(text: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for entry in entries(text):
        try:
            found[origin(entry)] = None
        except ValueError as wrong:
            raise ValueError(f"has the entry {entry!r}, which {wrong}") from None
    return tuple(found)


def keys(text: str) -> tuple[tuple[str, SecretStr], ...]:
    """Return (key id, base64 of 32 bytes) pairs; the first writes."""
    found: dict[str, SecretStr] = {}
    for position, entry in enumerate(entries(text), start=1):
        name, colon, encoded = entry.partition(":")
        if not colon or not _KEY_ID.fullmatch(name):
            raise ValueError(
                f"has no key id in entry {position}. Write keyid:base64; the id has letters, "
                "digits, _ and - only."
            )
        if name in found:
            raise ValueError(f"names the key id {name!r} twice. Give every key an id of its own.")
        if _decoded_length(encoded) != 32:
            raise ValueError(
                f"has a key {name!r} that is not 32 bytes in base64. "
                "Make one with: openssl rand -base64 32"
            )
        found[name] = SecretStr(encoded)
    return tuple(found.items())


def database(text: str) -> SecretStr:
    """Check for ``postgresql://user[:password]@host[:port]/database``, kept as written."""
    parts = _split(text)
    known = parts is not None and parts.scheme in {"postgresql", "postgres"}
    if parts is None or not known or not parts.hostname or len(parts.path) < 2:
        raise ValueError(
            "is no PostgreSQL URL. Write postgresql://user:password@host:5432/database."
        )
    return SecretStr(text)


def redis(text: str) -> SecretStr:
    parts = _split(text)
    if parts is None or parts.scheme not in {"redis", "rediss"} or not parts.hostname:
        raise ValueError("is no Redis URL. Write redis://host:6379/0, or rediss:// for TLS.")
    return SecretStr(text)


def bootstrap(text: str) -> tuple[str, ...]:
    """Return the ``host:port`` of one or more brokers."""
    found = entries(text)
    wrong = [entry for entry in found if not _is_broker(entry)]
    if wrong:
        raise ValueError(
            f"has the entry {wrong[0]!r}, which is no host:port. Write kafka-1:9092,kafka-2:9092."
        )
    return found


def security_protocol(text: str) -> str:
    return _one_of(text.upper(), PROTOCOLS)


def sasl_mechanism(text: str) -> str:
    return _one_of(text.upper(), MECHANISMS)


def file(text: str) -> Path:
    """Check that the file exists now."""
    path = Path(text).expanduser()
    if not path.is_file():
        raise ValueError(
            "is not a file that can be read. Name an existing one, or leave the variable out."
        )
    return path


def _decoded_length(encoded: str) -> int:
    padded = encoded.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return len(base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True))
    except (binascii.Error, ValueError):
        return -1


def _one_of(text: str, allowed: tuple[str, ...]) -> str:
    if text not in allowed:
        raise ValueError(f"is not known. Write one of: {', '.join(allowed)}.")
    return text


def _http_url(text: str) -> SplitResult:
    wrong = "is no absolute http or https URL. Write it in full, like https://example.com."
    if not text.isascii() or any(char <= " " or char == "\\" for char in text):
        raise ValueError(f"{wrong} It may not have spaces, backslashes or letters beyond ASCII.")
    parts = _split(text)
    if (
        parts is None
        or parts.scheme not in _DEFAULT_PORTS
        or not parts.hostname
        or "*" in parts.netloc
    ):
        raise ValueError(wrong)
    if "@" in parts.netloc:
        raise ValueError("has a user name or password in it. Remove them.")
    return parts


def _is_broker(entry: str) -> bool:
    found = _BROKER.fullmatch(entry)
    return found is not None and 1 <= int(found[2]) <= 65_535


def _split(text: str) -> SplitResult | None:
    """Return the parts, None if it is no URL with a sane port."""
    try:
        parts = urlsplit(text)
        sane = parts.port is None or parts.port > 0
    except ValueError:
        return None
    return parts if sane else None

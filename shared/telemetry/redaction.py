"""Catch secrets that slip into a log, by name or by shape.

This is the second net. The first is ``SecretStr``, which hides its value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

MASK: Final = "***"

_WORDS: Final = (
    r"authori[sz]ation|cookies?|credentials?|passwords?|passwd|secrets?|tokens?|verifiers?"
    r"|refresh|bearer|jwt|api[_-]?keys?|private[_-]?keys?|oauth[_-]?state"
    r"|(?:auth|authori[sz]ation|oauth)[_-]?code"
)
_SENSITIVE_NAME: Final = re.compile(rf"^code$|(?:^|[._-])(?:{_WORDS})$")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SECRET_PAIR: Final = re.compile(
    r"""(?ix) (?P<name>\b(?:(?:access|refresh|id|csrf|page|service)[_-]?token|token
    |client[_-]?secret|secret|code[_-]?verifier|password|passwd|api[_-]?key
    |(?<=[?&])(?:code|state))["']?\s*[=:]\s*["']?)
    (?P<value>[^\s"'&,;}\])]+)"""
)
_SCHEME: Final = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}")
_SEALED: Final = re.compile(r"\bv1\.[\w-]+\.[\w-]{8,}\.[\w-]{8,}")
_HEADER: Final = re.compile(r"(?i)\b((?:set-)?cookie|(?:proxy-)?authorization)(\s*:\s*)[^\r\n]+")
_KEY: Final = re.compile(r"\btrb_([0-9A-Za-z]{12})_[0-9A-Za-z]{40}")
_PLAIN: Final = re.compile(r"(?:(?!v1\.|trb_)[\w/.-]|(?<=\d):)*")
_DEEPEST: Final = 8


def redact_text(text: str) -> str:
    """Mask what looks like a secret.

    That is a bearer token, an API key, a sealed value, or a header or parameter that carries a
    secret.
    """
    if _PLAIN.fullmatch(text):
        # Each pattern below needs a space, an equals sign, a colon after something other than a
        # digit, "v1." or "trb_".
        return text
    text = _HEADER.sub(rf"\1\2{MASK}", text)
    text = _SCHEME.sub(rf"\1 {MASK}", text)
    text = _SEALED.sub(MASK, text)
    text = _KEY.sub(rf"trb_\1_{MASK}", text)
    return _SECRET_PAIR.sub(rf"\g<name>{MASK}", text)


@lru_cache(maxsize=1024)
def sensitive(name: str) -> bool:
    """Return True if the last word of ``name`` says that its value is secret.

    ``refresh_token`` is, ``token_url`` and ``error_code`` are not.
    """
    return _SENSITIVE_NAME.search(_CAMEL.sub("_", name).lower()) is not None


@lru_cache(maxsize=1024)
def _name(name: str) -> str:
    return redact_text(name)


def redact(value: Any, depth: int = 0) -> Any:
    """Return a copy of a log value without secrets.

    Numbers under a sensitive name stay: they count something and open nothing.
    """
    if isinstance(value, bool | int | float | None):
        return value
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _container(value, depth) if depth < _DEEPEST else MASK
    if isinstance(value, bytes | bytearray):
        return redact_text(bytes(value).decode("utf-8", "backslashreplace"))
    return redact_text(value if isinstance(value, str) else repr(value))


def _container(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        return {_name(str(name)): _entry(str(name), item, depth) for name, item in value.items()}
    return [redact(item, depth + 1) for item in value]


def _entry(name: str, value: Any, depth: int) -> Any:
    if sensitive(name) and not isinstance(value, bool | int | float | None):
        return MASK
    return redact(value, depth + 1)

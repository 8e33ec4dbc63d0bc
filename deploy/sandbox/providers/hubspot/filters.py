"""Test one filter of a search against one value."""

from __future__ import annotations

import re
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from deploy.sandbox.providers.hubspot.responses import invalid

WORDS: Final = re.compile(r"[^\W_]+(?:[.@'’-][^\W_]+)*")
NUMERIC: Final = frozenset({"number", "datetime", "date"})


class Filter(msgspec.Struct):
    propertyName: str  # noqa: N815  # the wire's own name
    operator: str
    value: str | int | float | bool | None = None
    values: list[str | int | float | bool] | None = None
    highValue: str | int | float | None = None  # noqa: N815  # the wire's own name


def matches(condition: Filter, value: str | None, kind: str) -> bool:
    """Return whether ``value``, a property of type ``kind``, passes.

    Raises:
        ErrorResponse: the operator is unknown or lacks its operand.
    """
    match condition.operator:
        case "HAS_PROPERTY":
            return bool(value)
        case "NOT_HAS_PROPERTY":
            return not value
        case "EQ" | "NEQ":
            equal = bool(value) and _key(value, kind) == _key(_operand(condition.value), kind)
            return equal is (condition.operator == "EQ")
        case "IN" | "NOT_IN":
            inside = bool(value) and _listed(condition, value or "", kind)
            return inside is (condition.operator == "IN")
        case "CONTAINS_TOKEN" | "NOT_CONTAINS_TOKEN":
            has = _has_token(value or "", _operand(condition.value))
            return has is (condition.operator == "CONTAINS_TOKEN")
        case "LT" | "LTE" | "GT" | "GTE" | "BETWEEN":
            return bool(value) and _within(condition, value, kind)
        case _:
            raise invalid(f"Unknown operator {condition.operator[:40]}.")


def sort_key(value: str | None, kind: str) -> tuple[bool, float, str]:
    """Return a key that orders values of one type, with absent ones first."""
    number, text = _key(value, kind)
    return (bool(value), number, text)


def _key(value: str | None, kind: str) -> tuple[float, str]:
    """Return a comparable key.

    Numbers and times compare by size (times as epoch milliseconds), enumerations as they are, and
    all other text without regard to case.
    """
    text = value or ""
    if kind in NUMERIC and text:
        return (_number(text), "")
    return (0.0, text if kind == "enumeration" else text.lower())


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return (
            datetime.fromisoformat(text if "T" in text else f"{text}T00:00:00+00:00").timestamp()
            * 1000
        )
    except ValueError:
        raise invalid("There was a problem with the request.") from None


def _operand(value: str | float | bool | None) -> str:  # noqa: FBT001  # JSON
    if value is None or value == "":
        raise invalid("There was a problem with the request.")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _listed(condition: Filter, value: str, kind: str) -> bool:
    """Return whether the value is listed; text is found only if listed in lower case."""
    given = [_operand(entry) for entry in condition.values or []]
    if not given:
        raise invalid("There was a problem with the request.")
    if kind in NUMERIC:
        return _key(value, kind) in [_key(entry, kind) for entry in given]
    return (value if kind == "enumeration" else value.lower()) in given


def _within(condition: Filter, value: str | None, kind: str) -> bool:
    own, low = _key(value, kind), _key(_operand(condition.value), kind)
    match condition.operator:
        case "LT":
            return own < low
        case "LTE":
            return own <= low
        case "GT":
            return own > low
        case "GTE":
            return own >= low
        case _:
            return low <= own <= _key(_operand(condition.highValue), kind)


def _has_token(value: str, token: str) -> bool:
    wanted = token.lower()
    if "*" in wanted:
        return any(fnmatchcase(word, wanted) for word in WORDS.findall(value.lower()))
    return wanted in WORDS.findall(value.lower())

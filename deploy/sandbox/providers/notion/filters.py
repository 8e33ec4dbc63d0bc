"""Compile query filters: timestamps, common property conditions, ``and`` and ``or``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Final

from deploy.sandbox.providers.notion.responses import invalid, not_simulated, only
from deploy.sandbox.providers.notion.values import Json
from deploy.sandbox.world import SandboxRow
from shared.contracts.envelope import timestamp_of

Test = Callable[[SandboxRow], bool]
DEEPEST: Final = 2
DATE_TESTS: Final = {"equals": eq, "before": lt, "after": gt, "on_or_before": le, "on_or_after": ge}
NUMBER_TESTS: Final = {
    "equals": eq, "does_not_equal": ne, "greater_than": gt, "less_than": lt,
    "greater_than_or_equal_to": ge, "less_than_or_equal_to": le,
}  # fmt: skip


def compiled(told: Any, depth: int = 0) -> Test:
    """Return a test for rows.

    Raises:
        ErrorResponse: Notion, or this sandbox, does not know the filter.
    """
    if not isinstance(told, dict):
        raise invalid("body failed validation: body.filter should be an object.")
    for name, together in (("and", all), ("or", any)):
        if name in told:
            only(told, (name,), "body.filter")
            if depth == DEEPEST or not isinstance(told[name], list):
                raise invalid(
                    f"body failed validation: body.filter.{name} should be an array, two levels "
                    "deep at most."
                )
            tests = [compiled(one, depth + 1) for one in told[name]]
            return partial(_together, together, tests)
    return _by_time(told) if "timestamp" in told else _by_property(told)


def _together(join: Callable[[Iterable[bool]], bool], tests: list[Test], row: SandboxRow) -> bool:
    return join(test(row) for test in tests)


def _by_time(told: Json) -> Test:
    time = told["timestamp"]
    if time not in ("created_time", "last_edited_time"):
        raise invalid(
            'body failed validation: body.filter.timestamp should be `"created_time"` or '
            '`"last_edited_time"`.'
        )
    only(told, ("timestamp", time), "body.filter")
    operator, given = _condition(told.get(time), time)
    if operator not in DATE_TESTS:
        raise not_simulated(f"the condition {operator[:60]} of {time}")
    test, moment = DATE_TESTS[operator], _moment(given)
    if time == "created_time":
        return lambda row: bool(test(row.created, moment))
    return lambda row: bool(test(row.modified, moment))


def _moment(given: Any) -> str:
    try:
        at = datetime.fromisoformat(given)
        return timestamp_of(at if at.tzinfo else at.replace(tzinfo=UTC))
    except (TypeError, ValueError, OverflowError):
        raise invalid(
            "body failed validation: the date of body.filter should be a valid ISO 8601 date "
            "string."
        ) from None


def _condition(told: Any, where: str) -> tuple[str, Any]:
    if not isinstance(told, dict) or len(told) != 1:
        raise invalid(
            f"body failed validation: body.filter.{where} should be an object with one condition."
        )
    ((operator, given),) = told.items()
    return operator, given


def _by_property(told: Json) -> Test:
    name, kinds = told.get("property"), [key for key in told if key not in ("property", "type")]
    if not isinstance(name, str) or len(kinds) != 1:
        raise invalid(
            "body failed validation: body.filter should name a property and one condition."
        )
    operator, given = _condition(told[kinds[0]], kinds[0])
    test = _property_test(kinds[0], operator, given)

    def of_row(row: SandboxRow) -> bool:
        properties = row.body["show"]["properties"]
        found = properties.get(name) or next(
            (one for one in properties.values() if one["id"] == name), None
        )
        if found is None:
            raise invalid(f"Could not find property with name or id: {name[:60]}")
        return test(found[found["type"]])

    return of_row


def _property_test(kind: str, operator: str, given: Any) -> Callable[[Any], bool]:
    if kind in ("title", "rich_text") and operator in ("equals", "contains", "is_empty"):
        return lambda value: _text_test(
            operator, "".join(part["plain_text"] for part in value), given
        )
    if kind == "checkbox" and operator in ("equals", "does_not_equal"):
        return lambda value: (value is given) is (operator == "equals")
    if kind in ("select", "status") and operator in ("equals", "is_empty"):
        return lambda value: (
            value is None if operator == "is_empty" else bool(value and value["name"] == given)
        )
    if kind == "number" and operator in NUMBER_TESTS and isinstance(given, int | float):
        return lambda value: value is not None and bool(NUMBER_TESTS[operator](value, given))
    raise not_simulated(f"the condition {operator[:60]} of {kind[:60]}")


def _text_test(operator: str, text: str, given: Any) -> bool:
    if operator == "is_empty":
        return not text
    return text == given if operator == "equals" else str(given).casefold() in text.casefold()

"""Parse the formulas that API clients filter with.

That is AND, OR, NOT, RECORD_ID(), {Field}, literals, = and !=.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from deploy.sandbox.providers.airtable.rendering import Fields, as_text
from deploy.sandbox.providers.airtable.responses import ErrorResponse, invalid, not_simulated
from deploy.sandbox.world import SandboxRow

Term = Callable[[SandboxRow], Any]
TOKEN: Final = re.compile(
    r"""\s*(?:(?P<field>\{(?:\\.|[^}\\])+\})|(?P<text>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
    r"""|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>[A-Za-z_]+)|(?P<sign>!=|[=(),]))\s*"""
)
ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
DEEPEST: Final = 20

FUNCTIONS: Final = frozenset({
    "ABS", "AVERAGE", "BLANK", "CEILING", "CONCATENATE", "COUNT", "COUNTA", "COUNTALL",
    "CREATED_TIME", "DATEADD", "DATESTR", "DATETIME_DIFF", "DATETIME_FORMAT", "DATETIME_PARSE",
    "DAY", "ENCODE_URL", "ERROR", "EVEN", "EXACT", "EXP", "FIND", "FLOOR", "FROMNOW", "HOUR", "IF",
    "INT", "IS_AFTER", "IS_BEFORE", "IS_SAME", "ISERROR", "LAST_MODIFIED_TIME", "LEFT", "LEN",
    "LOG", "LOWER", "MAX", "MID", "MIN", "MINUTE", "MOD", "MONTH", "NOW", "ODD", "POWER",
    "REGEX_EXTRACT", "REGEX_MATCH", "REGEX_REPLACE", "REPLACE", "REPT", "RIGHT", "ROUND",
    "ROUNDDOWN", "ROUNDUP", "SEARCH", "SECOND", "SET_LOCALE", "SET_TIMEZONE", "SQRT", "SUBSTITUTE",
    "SUM", "SWITCH", "T", "TIMESTR", "TODAY", "TONOW", "TRIM", "UPPER", "VALUE", "WEEKDAY",
    "WEEKNUM", "WORKDAY", "WORKDAY_DIFF", "XOR", "YEAR",
})  # fmt: skip
"""Functions of Airtable's formulas that are not simulated."""


def wrong(why: str) -> ErrorResponse:
    message = f"The formula for filtering records is invalid: {why}"
    return invalid(message, "INVALID_FILTER_BY_FORMULA")


def predicate(formula: str, fields: Fields) -> Callable[[SandboxRow], bool]:
    """Return a test that a record passes unless the formula gives 0, false or an empty value.

    Raises:
        ErrorResponse: it is not a formula, or it uses more than the sandbox understands.
    """
    reader = _Reader(_tokens(formula), fields)
    term = reader.comparison(0)
    if reader.tokens:
        raise wrong(f"unexpected {reader.tokens[0][1]!r}")
    return lambda row: bool(term(row))


def _tokens(formula: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    while at < len(formula):
        found = TOKEN.match(formula, at)
        if found is None or found.lastgroup is None:
            raise wrong(f"unexpected {formula[at]!r}")
        tokens.append((found.lastgroup, found[found.lastgroup]))
        at = found.end()
    tokens.reverse()
    return tokens


class _Reader:
    """Read a formula by recursive descent; ``tokens`` holds what is left, in reverse."""

    def __init__(self, tokens: list[tuple[str, str]], fields: Fields) -> None:
        self.tokens = tokens
        self._fields = fields

    def comparison(self, depth: int) -> Term:
        left = self._term(depth)
        if not self.tokens or self.tokens[-1][1] not in {"=", "!="}:
            return left
        equal = self.tokens.pop()[1] == "="
        right = self._term(depth)
        return lambda row: (_plain(left(row)) == _plain(right(row))) is equal

    def _term(self, depth: int) -> Term:
        if not self.tokens or depth > DEEPEST:
            raise wrong("it ends too early or is nested too deeply")
        kind, token = self.tokens.pop()
        if kind == "field":
            return self._field(ESCAPED.sub(r"\1", token[1:-1]))
        if kind == "text":
            text = ESCAPED.sub(r"\1", token[1:-1])
            return lambda _: text
        if kind == "number":
            number = float(token)
            return lambda _: number
        if kind == "word":
            return self._function(token.upper(), depth)
        if token == "(":
            inner = self.comparison(depth + 1)
            self._expect(")")
            return inner
        raise wrong(f"unexpected {token!r}")

    def _field(self, name: str) -> Term:
        try:
            id_ = self._fields.id(name)
        except ErrorResponse:
            raise wrong(f"Unknown field names: {name.lower()}") from None
        return lambda row: row.body["fields"].get(id_)

    def _function(self, name: str, depth: int) -> Term:
        self._expect("(")
        arguments: list[Term] = []
        while self.tokens and self.tokens[-1][1] != ")":
            arguments.append(self.comparison(depth + 1))
            if self.tokens and self.tokens[-1][1] != ")":
                self._expect(",")
        self._expect(")")
        return _applied(name, arguments)

    def _expect(self, sign: str) -> None:
        if not self.tokens or self.tokens.pop() != ("sign", sign):
            raise wrong(f"{sign!r} is missing")


def _applied(name: str, arguments: list[Term]) -> Term:
    match name, arguments:
        case "RECORD_ID", []:
            return lambda row: row.id.rpartition("/")[2]
        case "TRUE", []:
            return lambda _: True
        case "FALSE", []:
            return lambda _: False
        case "NOT", [only]:
            return lambda row: not only(row)
        case "AND", [_, *_]:
            return lambda row: all(term(row) for term in arguments)
        case "OR", [_, *_]:
            return lambda row: any(term(row) for term in arguments)
        case _ if name in FUNCTIONS:
            raise not_simulated(f"the function {name} in a formula")
        case _:
            raise wrong(f"{name} is no function with {len(arguments)} arguments")


def _plain(value: Any) -> Any:
    """Return a value as formulas compare it: an empty cell is empty text, a number is a float."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return float(value)
    return value if isinstance(value, str) else as_text(value)

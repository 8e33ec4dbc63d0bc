"""A condition on many values that is one parameter, whatever their number: the statement is built and planned once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Boolean, ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class among(FunctionElement[bool]):  # noqa: N801  # stands in statements like SQL's own functions
    """``among(column, bindparam("ids"))``; the parameter is made by ``listed``."""

    type = Boolean()  # type: ignore[mutable-override]  # as SQLAlchemy's own functions do
    inherit_cache = True  # type: ignore[mutable-override]

    def __init__(self, column: ColumnElement[Any], parameter: ColumnElement[Any]) -> None:
        super().__init__(column, parameter)


def listed(values: Iterable[str | int]) -> str:
    return msgspec.json.encode(list(values)).decode()


@compiles(among)
def _sqlite(element: among, compiler: Any, **options: Any) -> str:
    column, parameter = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({parameter}))"  # noqa: S608  # two compiled clauses


@compiles(among, "postgresql")
def _postgresql(element: among, compiler: Any, **options: Any) -> str:
    column, parameter = (compiler.process(clause, **options) for clause in element.clauses)
    kind = element.clauses.clauses[0].type.compile(dialect=compiler.dialect).partition(" COLLATE")[0]
    return f"{column} = ANY(ARRAY(SELECT CAST(json_array_elements_text(CAST({parameter} AS json)) AS {kind})))"

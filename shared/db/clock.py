"""The database's own clock: the hosts of several processes need not agree on the time."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Float
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class db_now(FunctionElement[float]):  # noqa: N801  # stands in statements like SQL's own functions
    """Epoch seconds, to the millisecond."""

    type = Float()  # type: ignore[mutable-override]  # as SQLAlchemy's own functions do
    inherit_cache = True  # type: ignore[mutable-override]


@compiles(db_now)
def _sqlite(_element: db_now, _compiler: Any, **_options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(db_now, "postgresql")
def _postgresql(_element: db_now, _compiler: Any, **_options: Any) -> str:
    return "EXTRACT(EPOCH FROM clock_timestamp())::float8"

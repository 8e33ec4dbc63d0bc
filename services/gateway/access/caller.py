"""The caller of a request, as the guard found them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from litestar.connection import ASGIConnection

from services.gateway.hub import Hub
from services.gateway.keys import Caller, opens

AnyConnection = ASGIConnection[Any, Any, Any, Any]


def keep_caller(connection: AnyConnection, caller: Caller | None) -> None:
    connection.state.caller = caller


def caller_of(connection: AnyConnection) -> Caller | None:
    """None on a public route. Raises ``AttributeError`` where no guard stood before the route."""
    caller: Caller | None = connection.state.caller
    return caller


async def still_let_in(connection: AnyConnection, hub: Hub) -> bool:
    """Asked by what goes on for long: whether the key was revoked or has expired, or somebody signed out meanwhile."""
    caller = caller_of(connection)
    if caller is None or caller.prefix is None:
        return True
    return await opens(caller.prefix, session=caller.session, database=hub.database)


def bound_hub(hub: Hub, connection: AnyConnection) -> Hub:
    """The hub within the walls of the caller's organisation."""
    caller = caller_of(connection)
    return hub if caller is None or caller.org is None else replace(hub, org=caller.org)

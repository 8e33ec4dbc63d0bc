"""Whose data the console shows, and in whose name it connects accounts."""

from __future__ import annotations

from typing import Any

from services.gateway.context import GatewayContext
from services.gateway.http.validation import AnyRequest
from services.gateway.security.guard import caller_of
from shared.contracts.auth import Flow
from shared.contracts.connections import Connection

ORG, USER = "demo", "demo"
"""Where no keys are needed, the console acts as one org and user."""
SIGNED_IN = "console"
"""Who has signed in shows the connections of all users of the organisation, and connects as this one."""


def org_of(context: GatewayContext) -> str:
    return context.org or ORG


def user_of(context: GatewayContext) -> str:
    return USER if context.org is None else SIGNED_IN


def whose(context: GatewayContext) -> str | None:
    """The only user whose connections are shown; None for all of the organisation's."""
    return USER if context.org is None else None


def shows(context: GatewayContext, made: Connection | Flow) -> bool:
    return made.org_id == org_of(context) and whose(context) in {None, made.user_id}


def viewer_values(request: AnyRequest) -> dict[str, Any]:
    """As whom the page is shown; ``viewer`` is None on the page to sign in on."""
    caller = caller_of(request)
    signed_in = caller is not None and caller.org is not None
    return {
        "viewer": caller,
        "org": caller.org if caller and signed_in else ORG,
        "user": SIGNED_IN if signed_in else USER,
        "writes": caller is not None and caller.may("write"),
    }

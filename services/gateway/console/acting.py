"""Whose data the console shows, and in whose name it connects accounts."""

from __future__ import annotations

from services.gateway.hub import Hub
from shared.contracts.auth import Flow
from shared.contracts.connections import Connection

ORG, USER = "demo", "demo"
"""Where no keys are needed, the console acts as one org and user."""
SIGNED_IN = "console"
"""Who has signed in shows the connections of all users of the organisation, and connects as this one."""


def org_of(hub: Hub) -> str:
    return hub.org or ORG


def user_of(hub: Hub) -> str:
    return USER if hub.org is None else SIGNED_IN


def whose(hub: Hub) -> str | None:
    """The only user whose connections are shown; None for all of the organisation's."""
    return USER if hub.org is None else None


def shows(hub: Hub, made: Connection | Flow) -> bool:
    return made.org_id == org_of(hub) and whose(hub) in {None, made.user_id}

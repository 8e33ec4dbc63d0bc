"""Render objects as the API shows them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from deploy.sandbox.providers.hubspot.catalogue import (
    DEFAULTS,
    MODIFIED,
    TYPE_IDS,
    UI_DOMAIN,
    property_types,
)
from deploy.sandbox.providers.hubspot.data import properties
from deploy.sandbox.providers.hubspot.responses import invalid
from deploy.sandbox.world import SandboxRow

WITH_HISTORY: Final = 50
"""History is costly, so only half as many objects may be requested with it."""


class Wanted(msgspec.Struct, frozen=True):
    """List the properties that an answer shows, and in ``history`` those with earlier values."""

    names: tuple[str, ...]
    history: tuple[str, ...] = ()


def wanted(resource: str, names: list[str], history: list[str], count: int) -> Wanted:
    """Return what to show: named properties replace the defaults, and unknown names are ignored.

    The three system properties are always shown.

    Raises:
        ErrorResponse: ``count`` objects are too many to be shown with their history.
    """
    if history and count > WITH_HISTORY:
        raise invalid(
            f"At most {WITH_HISTORY} objects can be read with propertiesWithHistory, {count} "
            "were asked for."
        )
    types, system = property_types(resource), ("createdate", MODIFIED[resource], "hs_object_id")
    shown = dict.fromkeys((*(names or DEFAULTS[resource]), *system))
    return Wanted(
        tuple(name for name in shown if name in types),
        tuple(name for name in history if name in types),
    )


def rendered(row: SandboxRow, account: str, resource: str, want: Wanted) -> dict[str, Any]:
    """Return a row as an answer shows it: property values are strings or null."""
    value = properties(row, resource).get
    body: dict[str, Any] = {
        "id": row.id,
        "properties": {name: value(name) for name in want.names},
        "createdAt": row.created,
        "updatedAt": row.modified,
        "archived": row.archived,
        "url": f"https://{UI_DOMAIN}/contacts/{account}/record/{TYPE_IDS[resource]}/{row.id}",
    }
    if row.archived:
        # Archiving does not change the modified time, and the sandbox does not record when it
        # happened.
        body["archivedAt"] = row.modified
    if want.history:
        at = {"timestamp": row.modified, "sourceType": "CRM_UI"}
        body["propertiesWithHistory"] = {
            name: [{"value": value(name), **at}] for name in want.history
        }
    return body

"""Render objects as the API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from deploy.sandbox.providers.hubspot.catalogue import (
    DEFAULTS,
    MODIFIED,
    TYPE_IDS,
    UI_DOMAIN,
)
from deploy.sandbox.providers.hubspot.data import properties
from deploy.sandbox.providers.hubspot.property_sets import PropertySet
from deploy.sandbox.providers.hubspot.responses import invalid
from deploy.sandbox.world import SandboxRow

WITH_HISTORY: Final = 50
"""History is costly, so only half as many objects may be requested with it."""


class Wanted(msgspec.Struct, frozen=True):
    """Say what an answer shows of each object.

    ``blank`` has the names of the properties that it shows, ``history`` those with earlier values;
    ``held`` are all that the account has.
    """

    held: PropertySet
    blank: dict[str, str | None]
    history: tuple[str, ...] = ()


def wanted(held: PropertySet, names: list[str], history: list[str], count: int) -> Wanted:
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
    types, resource = held.types, held.resource
    system = ("createdate", MODIFIED[resource], "hs_object_id")
    shown = (*(names or DEFAULTS[resource]), *system)
    return Wanted(
        held,
        {name: None for name in shown if name in types},
        tuple(name for name in history if name in types),
    )


def rendered(row: SandboxRow, account: str, want: Wanted) -> dict[str, Any]:
    """Return a row as an answer shows it: property values are strings or null."""
    values, resource = properties(row, want.held), want.held.resource
    shown = want.blank.copy()
    # Far fewer properties have a value than a request may name.
    shown |= {name: value for name, value in values.items() if name in shown}
    body: dict[str, Any] = {
        "id": row.id,
        "properties": shown,
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
            name: [{"value": values.get(name), **at}] for name in want.history
        }
    return _odd(body) if row.body.get("odd") else body


def _odd(body: dict[str, Any]) -> dict[str, Any]:
    """Return an object whose times are a number, empty, and null."""
    created = datetime.fromisoformat(body["createdAt"]).timestamp()
    times = {"createdAt": int(created * 1000), "updatedAt": ""}
    return {**body, **times, "properties": {**body["properties"], "createdate": None}}

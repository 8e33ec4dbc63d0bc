"""Make up the properties of an account's object types: fifty, or as many as a real account has.

Real accounts have hundreds: times for each stage of each pipeline, properties hidden from people,
and those that people have added. Most are empty in most objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import count, cycle, islice, product
from typing import Any, Final

import msgspec

from deploy.sandbox.providers.hubspot.catalogue import (
    FIELD_TYPES,
    HIDDEN,
    MODIFIED,
    OPTIONS,
    SINGULAR,
    property_types,
)
from deploy.sandbox.world import World

STAGE_TIMES: Final = (
    ("hs_date_entered_", "datetime"),
    ("hs_date_exited_", "datetime"),
    ("hs_time_in_", "number"),
    ("hs_v2_date_entered_", "datetime"),
    ("hs_v2_date_exited_", "datetime"),
    ("hs_v2_latest_time_in_", "number"),
    ("hs_v2_cumulative_time_in_", "number"),
)
SHARES: Final = {"companies": (0.14, 0.34), "contacts": (0.14, 0.34), "deals": (0.53, 0.16)}
"""The shares of an object type's properties that are stage times, and that are hidden.

34 of 247 company properties of a new account were stage times, and 88 hidden in all; 509 of 954
deal properties of a shop were stage times.
"""
# Types and field types, each about as often as in a real account.
KINDS: Final = (
    *(("datetime", "date"), ("number", "number"), ("string", "text"), ("enumeration", "select")),
    *(("datetime", "calculation_equation"), ("number", "calculation_rollup")),
    *(("string", "textarea"), ("enumeration", "checkbox"), ("datetime", "date")),
    *(("number", "calculation_read_time"), ("string", "html"), ("bool", "booleancheckbox")),
    *(("string", "phonenumber"), ("enumeration", "radio"), ("number", "number")),
    *(("date", "date"), ("phone_number", "phonenumber"), ("object_coordinates", "text")),
    *(("json", "text"), ("string", "file"), ("string", "calculation_equation")),
)
SUBJECTS: Final = (
    *("campaign", "click", "conversion", "engagement", "form", "meeting", "message", "page"),
    *("quote", "referrer", "score", "sequence", "session", "survey", "ticket", "workflow"),
)
OURS: Final = ("analytics_first", "analytics_last", "latest", "num", "predictive", "recent", "sa")
THEIRS: Final = ("acquired", "crate", "delivery", "erp", "harvest", "partner", "region", "renewal")
CHOICES: Final = ("one", "two", "three")


SENSITIVITIES: Final = ("non_sensitive", "sensitive", "highly_sensitive")
SENSITIVE: Final = {"sensitive": "patient_number", "highly_sensitive": "bank_account"}
"""The properties that large accounts have besides; their values take scopes of their own."""
LARGE: Final = 200


class SimulatedProperty(msgspec.Struct, frozen=True, kw_only=True):
    """Describe a property; ``kind`` is HubSpot's type of its values."""

    name: str
    kind: str
    field_type: str
    hidden: bool = False
    options: tuple[str, ...] = ()


class PropertySet(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the properties of an object type, of which an account has ``size``."""

    resource: str
    size: int
    properties: tuple[SimulatedProperty, ...]
    types: dict[str, str]
    """Name → HubSpot's type."""


def properties_of(world: World, account: str, resource: str) -> PropertySet:
    return property_set(resource, world.accounts[account].properties.get(resource, 0))


@cache
def property_set(resource: str, size: int) -> PropertySet:
    """Return ``size`` properties, or the smallest set, which every account has."""
    found = [_base(name, kind) for name, kind in property_types(resource).items()]
    stages, hidden = (int(size * share) for share in SHARES[resource])
    more = max(0, size - len(found))
    for made, wanted in ((_stage_times(resource), stages), (_hidden(), hidden), (_added(), more)):
        met = {one.name for one in found}
        fresh = (one for one in made if one.name not in met)
        found += islice(fresh, min(wanted, max(0, size - len(found))))
    types = {one.name: one.kind for one in found}
    return PropertySet(resource=resource, size=size, properties=tuple(found), types=types)


def _base(name: str, kind: str) -> SimulatedProperty:
    return SimulatedProperty(
        name=name,
        kind=kind,
        field_type=FIELD_TYPES[kind],
        hidden=name in HIDDEN,
        options=OPTIONS.get(name, ()),
    )


def _stage_times(resource: str) -> Iterator[SimulatedProperty]:
    named = OPTIONS["dealstage" if resource == "deals" else "lifecyclestage"]
    # Stages that people have added are numbers.
    for stage in (*named, *map(str, range(1_025_783_512, 1_025_784_512, 3))):
        for before, kind in STAGE_TIMES:
            field_type = "calculation_equation" if kind == "number" else "date"
            yield SimulatedProperty(name=f"{before}{stage}", kind=kind, field_type=field_type)


def _hidden() -> Iterator[SimulatedProperty]:
    for name, kind in _named("hs_", OURS):
        yield _made(name, *kind, hidden=True)


def _added() -> Iterator[SimulatedProperty]:
    for name, kind in _named("", THEIRS):
        yield _made(name, *kind, hidden=False)


def _named(before: str, words: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, str]]]:
    kinds = cycle(KINDS)
    for n in count(1):
        for word, subject in product(words, SUBJECTS):
            after = f"_{n}" if n > 1 else ""
            yield f"{before}{word}_{subject}{after}", next(kinds)


def _made(name: str, kind: str, field_type: str, *, hidden: bool) -> SimulatedProperty:
    options = CHOICES if kind == "enumeration" else ()
    return SimulatedProperty(
        name=name, kind=kind, field_type=field_type, hidden=hidden, options=options
    )


@cache
def definitions(resource: str, size: int, sensitivity: str) -> list[dict[str, Any]]:
    """Return the properties of one sensitivity as the properties API describes them."""
    found = property_set(resource, size).properties
    if sensitivity != "non_sensitive":
        found = (_made(SENSITIVE[sensitivity], "string", "text", hidden=False),)
    some = found if sensitivity == "non_sensitive" or size >= LARGE else ()
    return [_definition(one, resource, sensitivity) for one in some]


def _definition(of: SimulatedProperty, resource: str, sensitivity: str) -> dict[str, Any]:
    name = of.name
    label = name.removeprefix("hs_").replace("_", " ").title()
    readonly = name.startswith("hs_analytics") or name in {
        "hs_object_id",
        "createdate",
        MODIFIED[resource],
    }
    options = [
        {
            "label": value.replace("_", " ").title(),
            "value": value,
            "displayOrder": n,
            "hidden": False,
        }
        for n, value in enumerate(of.options)
    ]
    return {
        "name": name,
        "label": label,
        "type": of.kind,
        "fieldType": of.field_type,
        "description": f"{label} of the {resource}",
        "groupName": f"{SINGULAR[resource]}information",
        "options": options,
        "displayOrder": -1,
        "calculated": False,
        "externalOptions": name == "hubspot_owner_id",
        "hasUniqueValue": name == "hs_object_id",
        "hidden": of.hidden,
        "hubspotDefined": name.startswith("hs_") or name in property_types(resource),
        "formField": not name.startswith("hs_"),
        "archived": False,
        "dataSensitivity": sensitivity,
        "createdAt": "2019-08-06T02:41:08.029Z",
        "updatedAt": "2026-03-11T09:30:00.000Z",
        "modificationMetadata": {
            "archivable": False,
            "readOnlyDefinition": True,
            "readOnlyValue": readonly or of.field_type.startswith("calculation_"),
        },
    }

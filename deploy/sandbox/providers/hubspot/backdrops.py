"""Make the property values that many rows share: address, owner, stage, page views and so on."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from functools import cache
from typing import Final

from deploy.sandbox.providers.hubspot.catalogue import OPTIONS
from deploy.sandbox.providers.hubspot.property_sets import (
    PropertySet,
    SimulatedProperty,
    property_set,
)
from deploy.sandbox.providers.hubspot.sample_names import NOTES, PLACES, STREETS, TITLES

BACKDROPS: Final = 251
OPENED: Final = datetime(2023, 2, 1, 8, 30, tzinfo=UTC).timestamp()
"""Epoch seconds of the first row in any account."""
SPAN_S: Final = 3 * 365 * 86_400
OWNERS: Final = tuple(str(71_300_500 + 7 * n) for n in range(6))
TEXTS: Final = {
    "phone_number": "+15550100",
    "object_coordinates": "[4,2]",
    "json": '{"source":"form"}',
}
"""Values of the types whose text has a form."""
SET: Final = 0.03
"""The share of the many properties of a large account that an object has a value of."""
PROSE: Final = frozenset(
    {
        "description",
        "about_us",
        "message",
        "hs_next_step",
        "closed_lost_reason",
        "closed_won_reason",
    }
)


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


@cache
def backdrops(resource: str, size: int) -> tuple[dict[str, str | None], ...]:
    """Return the values of the properties in an account where the object type has ``size``."""
    rng = random.Random(f"backdrop:{resource}")
    small = property_set(resource, 0)
    found = tuple(_backdrop(rng, small) for _ in range(BACKDROPS))
    rare = random.Random(f"backdrop:{resource}:{size}")
    added = [one for one in property_set(resource, size).properties if one.name not in small.types]
    for values in found:
        filled = rare.sample(added, round(len(added) * SET))
        values |= {one.name: _value(rare, one) or _text(rare, one) for one in filled}
    return found


def _backdrop(rng: random.Random, small: PropertySet) -> dict[str, str | None]:
    """Fill roughly half of the properties, as in a real account."""
    city, state, postcode, country, timezone = rng.choice(PLACES)
    fixed = {
        "city": city,
        "state": state,
        "zip": postcode,
        "country": country,
        "hs_timezone": timezone,
        "timezone": timezone,
        "address": f"{rng.randint(1, 180)} {rng.choice(STREETS)}",
        "jobtitle": rng.choice(TITLES),
        "hubspot_owner_id": rng.choice(OWNERS),
        "lifecyclestage": rng.choice(OPTIONS["lifecyclestage"]),
        "pipeline": "default",
        "dealstage": rng.choice(OPTIONS["dealstage"]),
        "deal_currency_code": "EUR",
        "salutation": rng.choice(("Ms", "Mr", "Dr", "")),
        "hs_object_source_label": rng.choice(("CRM_UI", "IMPORT", "INTEGRATION", "FORM")),
        "founded_year": str(rng.randint(1950, 2022)),
        "hs_language": rng.choice(("en", "de", "fr", "pt-br")),
    }
    values: dict[str, str | None] = {name: fixed[name] for name in small.types if name in fixed}
    for one in small.properties:
        if one.name not in values and rng.random() < 0.45:
            values[one.name] = _value(rng, one)
    return values


def _text(rng: random.Random, of: SimulatedProperty) -> str:
    return TEXTS.get(of.kind) or rng.choice(NOTES)


def _value(rng: random.Random, of: SimulatedProperty) -> str | None:
    match of.kind:
        case "number":
            return str(rng.randint(0, 400))
        case "datetime":
            return iso(OPENED + rng.random() * SPAN_S)
        case "date":
            return f"19{rng.randint(50, 99)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
        case "bool":
            return rng.choice(("true", "false"))
        case "enumeration":
            return rng.choice(of.options)
        case _:
            return rng.choice(NOTES) if of.name in PROSE else None

"""Make the property values that many rows share: address, owner, stage, page views and so on."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from functools import cache
from typing import Final

from deploy.sandbox.providers.hubspot.catalogue import OPTIONS, property_types
from deploy.sandbox.providers.hubspot.sample_names import NOTES, PLACES, STREETS, TITLES

BACKDROPS: Final = 251
OPENED: Final = datetime(2023, 2, 1, 8, 30, tzinfo=UTC).timestamp()
"""Epoch seconds of the first row in any account."""
SPAN_S: Final = 3 * 365 * 86_400
OWNERS: Final = tuple(str(71_300_500 + 7 * n) for n in range(6))
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
def backdrops(resource: str) -> tuple[dict[str, str | None], ...]:
    rng = random.Random(f"backdrop:{resource}")
    types = property_types(resource)
    return tuple(_backdrop(rng, types) for _ in range(BACKDROPS))


def _backdrop(rng: random.Random, types: dict[str, str]) -> dict[str, str | None]:
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
    values: dict[str, str | None] = {name: fixed[name] for name in types if name in fixed}
    for name, kind in types.items():
        if name not in values and rng.random() < 0.45:
            values[name] = _value(rng, name, kind)
    return values


def _value(rng: random.Random, name: str, kind: str) -> str | None:
    match kind:
        case "number":
            return str(rng.randint(0, 400))
        case "datetime":
            return iso(OPENED + rng.random() * SPAN_S)
        case "date":
            return f"19{rng.randint(50, 99)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
        case "bool":
            return rng.choice(("true", "false"))
        case "enumeration":
            return rng.choice(OPTIONS[name])
        case _:
            return rng.choice(NOTES) if name in PROSE else None

"""Describe a column of every type of field that the other tables do without.

https://airtable.com/developers/web/api/field-model
"""

from __future__ import annotations

from random import Random
from typing import Any, Final

from deploy.sandbox.providers.airtable.columns import Column, Value
from deploy.sandbox.providers.airtable.sample_names import FIRST, TOWN

PEOPLE: Final = 7
ERRORS: Final[tuple[Any, ...]] = (
    {"error": "#ERROR!"},
    {"error": "circular reference"},
    {"specialValue": "NaN"},
    {"specialValue": "-Infinity"},
)
SHOWN: Final = {
    "dateFormat": {"name": "iso", "format": "YYYY-MM-DD"},
    "timeFormat": {"name": "24hour", "format": "HH:mm"},
    "timeZone": "utc",
}
ATTACHMENTS: Final = {"type": "multipleAttachments", "options": {"isReversed": False}}
DATE_TIME: Final = {"type": "dateTime", "options": SHOWN}


def _person(rng: Random, _: int) -> dict[str, str]:
    n = rng.randrange(PEOPLE)
    return {"id": f"usr{n:014d}", "email": f"team{n}@example.com", "name": FIRST[n]}


def _people(rng: Random, number: int) -> list[dict[str, str]]:
    return [_person(rng, number) for _ in range(rng.randrange(3))]


def _links(rng: Random, _: int) -> list[str]:
    return [f"rec{rng.getrandbits(56):014x}" for _ in range(rng.randrange(4))]


def _looked_up(rng: Random, _: int) -> list[Any]:
    """Return values that are lists themselves, as with a lookup of another lookup."""
    return [[rng.choice(TOWN), rng.choice(TOWN)], [], [rng.choice(ERRORS)]][: rng.randrange(4)]


def _photos(rng: Random, number: int) -> list[Any]:
    """Return attachments in a list of a list. Each gets a link when it is shown."""
    id_ = f"att{rng.getrandbits(56):014x}"
    photo = {"id": id_, "url": "", "filename": f"part-{number}.png", "size": 9_120}
    return [[{**photo, "type": "image/png"}]]


def _total(rng: Random, _: int) -> Any:
    return rng.choice(ERRORS) if rng.random() < 0.1 else rng.randrange(9_000) / 10


def _summary(rng: Random, number: int) -> dict[str, Any]:
    if number % 5 == 4:
        return {"state": "error", "value": None, "isStale": False, "errorType": "unknown"}
    value = f"An asset from {rng.choice(TOWN)}."
    return {"state": "generated", "value": value, "isStale": number % 3 == 1}


def _dated(rng: Random, _: int) -> str:
    return f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T08:30:00.000Z"


def _opened(rng: Random, number: int) -> dict[str, str]:
    return {"label": "Open", "url": f"https://{rng.choice(TOWN).lower()}.example/{number}"}


def _nothing(_: Random, __: int) -> None:
    """Return no cell: Airtable shows none, or the row's own times stand in it."""


def _column(name: str, type_: str, value: Value, **options: Any) -> Column:
    return Column(name, type_, value, options or None)


KINDS: Final = (
    _column("Story", "richText", lambda rng, n: f"**{rng.choice(TOWN)}**, lot {n}\n"),
    _column("Site", "url", lambda rng, n: f"https://{rng.choice(TOWN).lower()}.example/{n}"),
    _column("Phone", "phoneNumber", lambda rng, _: f"+49 30 555 {rng.randint(1000, 9999)}"),
    _column("Share", "percent", lambda rng, _: rng.randrange(101) / 100, precision=0),
    _column("Lasts", "duration", lambda rng, _: rng.randrange(86_400), durationFormat="h:mm:ss"),
    _column("Checked", "dateTime", _dated, **SHOWN),
    _column("Created", "createdTime", _nothing, result=DATE_TIME),
    _column(
        "Changed",
        "lastModifiedTime",
        _nothing,
        isValid=True,
        referencedFieldIds=[],
        result=DATE_TIME,
    ),
    _column("Added by", "createdBy", _person),
    _column("Changed by", "lastModifiedBy", _person),
    _column("Keepers", "multipleCollaborators", _people),
    _column(
        "Parts", "multipleRecordLinks", _links, isReversed=False, prefersSingleRecordLink=False
    ),
    _column(
        "Towns",
        "multipleLookupValues",
        _looked_up,
        isValid=True,
        result={"type": "multipleLookupValues", "options": {"result": {"type": "singleLineText"}}},
    ),
    _column(
        "Photos of parts",
        "multipleLookupValues",
        _photos,
        isValid=True,
        result={"type": "multipleLookupValues", "options": {"result": ATTACHMENTS}},
    ),
    _column("Total", "rollup", _total, isValid=True, result={"type": "number"}),
    _column("How many", "count", lambda rng, _: rng.randrange(1, 9), isValid=True),
    _column("Broken", "formula", _nothing, formula="{Gone}+1", isValid=False, result=None),
    _column("Label", "formula", lambda rng, _: rng.choice(TOWN), isValid=True),
    _column("Open it", "button", _opened),
    _column("Summary", "aiText", _summary, prompt=["Describe the asset."]),
    _column("Source", "externalSyncSource", lambda _, n: f"Source {n % 2}"),
    _column("Place in view", "manualSort", lambda _, n: f"a{n:06}"),
)

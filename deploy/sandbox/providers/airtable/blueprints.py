"""Describe ten believable tables."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from deploy.sandbox.providers.airtable.columns import Column, Value
from deploy.sandbox.providers.airtable.field_kinds import KINDS
from deploy.sandbox.providers.airtable.sample_names import FIRST, FRUIT, LAST, THING, TOWN, VERB

EPOCH: Final = datetime(2024, 1, 8, 9, 0, tzinfo=UTC)


class Blueprint(msgspec.Struct, frozen=True):
    """Hold a table's name and columns; ``columns[0]`` is the primary field."""

    name: str
    columns: tuple[Column, ...]


def _pick(*values: Any) -> Value:
    return lambda rng, _: rng.choice(values)


def _choices(*names: str) -> dict[str, Any]:
    return {
        "choices": [{"id": f"sel{name.encode().hex():0<14.14}", "name": name} for name in names]
    }


def _person(rng: random.Random, _: int) -> str:
    return f"{rng.choice(FIRST)} {rng.choice(LAST)}"


def _task(rng: random.Random, number: int) -> str:
    return f"{rng.choice(VERB)} the {rng.choice(THING)} ({number + 1})"


def _day(rng: random.Random, _: int) -> str:
    return (EPOCH + timedelta(days=rng.randrange(900))).strftime("%Y-%m-%d")


def _email(rng: random.Random, number: int) -> str:
    return f"{rng.choice(FIRST).lower()}.{rng.choice(LAST).lower()}{number}@example.com"


def _photo(rng: random.Random, number: int) -> list[dict[str, Any]]:
    id_ = f"att{rng.getrandbits(56):014x}"
    url = f"https://v5.airtableusercontent.com/v3/u/{id_}"
    return [
        {
            "id": id_,
            "url": url,
            "filename": f"photo-{number}.jpg",
            "size": 48_213,
            "type": "image/jpeg",
        }
    ]


def _ratio(rng: random.Random, _: int) -> Any:
    """Return a formula's result: mostly a number, or an object that Airtable writes instead."""
    odd = ({"specialValue": "NaN"}, {"specialValue": "Infinity"}, {"error": "#ERROR!"})
    return rng.choice(odd) if rng.random() < 0.1 else round(rng.random() * 9, 3)


def _select(name: str, *names: str) -> Column:
    return Column(name, "singleSelect", _pick(*names), _choices(*names))


def _tags(rng: random.Random, _: int) -> list[str]:
    return rng.sample(["organic", "late", "for export", "trial", "gift"], rng.randrange(4))


NOTES: Final = Column(
    "Notes",
    "multilineText",
    lambda rng, n: f"Seen in {rng.choice(TOWN)}, entry {n}." if n % 3 else None,
)
TAGS: Final = Column(
    "Tags", "multipleSelects", _tags, _choices("organic", "late", "for export", "trial", "gift")
)
DONE: Final = Column(
    "Done",
    "checkbox",
    lambda rng, _: rng.random() < 0.4 or None,
    {"icon": "check", "color": "greenBright"},
)
WHEN: Final = Column("Date", "date", _day, {"dateFormat": {"name": "iso", "format": "YYYY-MM-DD"}})
COUNT: Final = Column("Count", "number", lambda rng, _: rng.randrange(500), {"precision": 0})
PRICE: Final = Column(
    "Price", "currency", lambda rng, _: rng.randrange(99_900) / 100, {"precision": 2, "symbol": "€"}
)
OWNER: Final = Column(
    "Owner",
    "singleCollaborator",
    lambda rng, n: {
        "id": f"usr{n % 7:014d}",
        "email": f"team{n % 7}@example.com",
        "name": _person(rng, n),
    },
)
RATIO: Final = Column("Yield", "formula", _ratio, {"formula": "{Count}/{Trees}", "isValid": True})
PHOTO: Final = Column("Photo", "multipleAttachments", _photo)


def _text(name: str, value: Value) -> Column:
    return Column(name, "singleLineText", value)


BLUEPRINTS: Final = (
    Blueprint(
        "Trees",
        (_text("Name", lambda r, n: f"{r.choice(FRUIT)} {n + 1}"), COUNT, TAGS, RATIO, NOTES),
    ),
    Blueprint(
        "Harvests",
        (
            _text("Harvest", lambda r, n: f"{r.choice(FRUIT)} lot {n + 1}"),
            WHEN,
            COUNT,
            PRICE,
            NOTES,
        ),
    ),
    Blueprint(
        "Growers",
        (_text("Full name", _person), Column("Email", "email", _email), TAGS, PHOTO, NOTES),
    ),
    Blueprint(
        "Orders", (Column("Order", "autoNumber", lambda _, n: n + 1), WHEN, PRICE, DONE, NOTES)
    ),
    Blueprint(
        "Tasks",
        (
            _text("Task", _task),
            _select("Status", "Todo", "Doing", "Blocked", "Done"),
            OWNER,
            WHEN,
            NOTES,
        ),
    ),
    Blueprint(
        "Subscribers", (Column("Email", "email", _email), _text("Town", _pick(*TOWN)), DONE, NOTES)
    ),
    Blueprint(
        "Risks",
        (
            _text("Risk", _task),
            Column("Rating", "rating", lambda r, _: r.randint(1, 5), {"max": 5}),
            NOTES,
        ),
    ),
    Blueprint(
        "Events",
        (
            _text("Title", lambda r, n: f"Open day {r.choice(TOWN)} {2024 + n % 3}"),
            WHEN,
            COUNT,
            OWNER,
            NOTES,
        ),
    ),
    Blueprint(
        "Assets",
        (
            Column("Barcode", "barcode", lambda _, n: {"text": f"TRB-{n:05d}", "type": "code39"}),
            PRICE,
            PHOTO,
            NOTES,
            *KINDS,
        ),
    ),
    Blueprint("Archive", (_text("Name", _person), WHEN, NOTES)),
)
BASES: Final = (
    "Orchard operations",
    "Product studio",
    "Open days & events <2026>",
    "Größe 🍏 test",
    "Ops — مزرعة",
)

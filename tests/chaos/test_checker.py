"""The checker finds each kind of damage when it is planted, and nothing where there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.checker import Report, compare
from tests.chaos.topic import Record, content

DAY = "2026-01-0{}T00:00:00.000Z"
LEDGER = {("contacts", "1"): DAY.format(1), ("contacts", "2"): DAY.format(2), ("deals", "1"): None}


def item(
    resource: str, id_: str, *, version: int = 5, modified: str | None = None
) -> dict[str, Any]:
    """Return an item as the API shows it."""
    return {
        "resource": resource,
        "id": id_,
        "version": version,
        "modified_at": modified if modified is not None else LEDGER.get((resource, id_)),
        "name": f"{resource} {id_}",
        "parent_id": None,
        "created_at": None,
        "raw": {"b": [1, 2], "a": id_},
    }


def record(resource: str, id_: str, *, offset: int = 0, **fields: Any) -> Record:
    shown = item(resource, id_, **fields)
    body = {"raw": {"a": id_, "b": [1, 2]}} | {
        name: value for name, value in shown.items() if name != "raw"
    }
    return Record(
        resource, id_, 0, offset, shown["version"], 0, shown["modified_at"], content(body)
    )


RECORDS = [record(resource, id_, offset=at) for at, (resource, id_) in enumerate(LEDGER)]
SHOWN = [item(resource, id_) for resource, id_ in LEDGER]
FIRST, SECOND, THIRD = RECORDS


def test_equal_is_clean_whatever_came_before() -> None:
    older = replace(FIRST, version=4, modified="2025-01-01T00:00:00.000Z", content=b"older")
    gone = replace(record("contacts", "3"), content=None)
    report = compare(
        LEDGER, [older, record("contacts", "3", version=4), *RECORDS, FIRST, gone], SHOWN
    )
    assert report.clean, str(report)
    assert report.counts == {"lost": 0, "doubled": 0, "stale": 0, "phantom": 0}


PLANTED: dict[str, tuple[str, list[Record], list[dict[str, Any]]]] = {
    "never sent": ("lost", [FIRST, THIRD], SHOWN),
    "deleted on the topic": ("lost", [*RECORDS, replace(SECOND, version=6, content=None)], SHOWN),
    "not shown": ("lost", RECORDS, SHOWN[1:]),
    "shown twice": ("doubled", RECORDS, [*SHOWN, SHOWN[0]]),
    "one version, two contents": ("doubled", [replace(FIRST, content=b"other"), *RECORDS], SHOWN),
    "a key in two partitions": ("doubled", [*RECORDS, replace(FIRST, partition=1)], SHOWN),
    "an older version appended late": ("stale", [*RECORDS, replace(FIRST, version=4)], SHOWN),
    "a late deletion that readers by version refuse": (
        "lost",
        [*RECORDS, replace(FIRST, version=4, content=None)],
        SHOWN,
    ),
    "the topic has old content": (
        "stale",
        [record("contacts", "1", modified=DAY.format(0)), *RECORDS[1:]],
        [item("contacts", "1", modified=DAY.format(0)), *SHOWN[1:]],
    ),
    "an older version is shown": ("stale", RECORDS, [item("contacts", "1", version=4), *SHOWN[1:]]),
    "other content is shown": ("stale", RECORDS, [SHOWN[0] | {"name": "other"}, *SHOWN[1:]]),
    "on the topic only": ("phantom", [*RECORDS, record("deals", "9")], SHOWN),
    "shown only": ("phantom", RECORDS, [*SHOWN, item("deals", "9")]),
}


@pytest.mark.parametrize("name", PLANTED)
def test_damage_is_found(name: str) -> None:
    kind, records, shown = PLANTED[name]
    report: Report = compare(LEDGER, records, shown)
    assert report.counts[kind] == sum(finding.kind == kind for finding in report.findings) > 0, str(
        report
    )
    assert kind in str(report)

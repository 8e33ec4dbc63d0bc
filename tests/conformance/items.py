"""Say what is wrong with an item, whichever provider it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from shared.connector import Record

UTC: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")


def flaws(record: Record) -> Iterator[str]:
    """Yield what is wrong with a record, in words that say what to give instead."""
    if not record.id.strip():
        yield "an item has no id. Give the provider's id, unique within the account."
    if not record.name.strip():
        yield (
            f"item {record.id} has no name. Give what a person would call it, and “Untitled …” "
            "where there is nothing else."
        )
    if record.url is not None and not record.url.startswith("https://"):
        yield f"item {record.id} has the link {record.url!r}. Give an https URL, or None."
    for field in ("created_at", "modified_at"):
        time = getattr(record, field)
        if time is not None and not _is_utc(time):
            yield (
                f"item {record.id} has {field} {time!r}. Give RFC 3339 in UTC, as in "
                "2026-10-02T11:00:04.120Z, or None."
            )
    if record.parent_id is not None and (not record.parent_id or record.parent_id == record.id):
        yield f"item {record.id} has parent_id {record.parent_id!r}. Give its parent's id, or None."


def _is_utc(time: str) -> bool:
    if not UTC.fullmatch(time):
        return False
    try:
        datetime.fromisoformat(time)
    except ValueError:
        return False
    return True

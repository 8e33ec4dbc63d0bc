"""Lists that lie: short or empty with status 200, while what they leave out exists."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.load import Load, begin, pace
from tests.chaos.stack import Stack
from tests.chaos.topic import Topic
from tests.support.client import RESOURCES

pytestmark = pytest.mark.e2e

COUNTS = {
    "hubspot": {"companies": 40, "contacts": 120, "deals": 30},
    "notion": {"pages": 60, "data_sources": 4, "users": 5},
    "airtable": {"bases": 3, "tables": 6, "records": 90},
}
SHARES = (0.5, 0.0, 0.9)


@pytest.mark.parametrize("provider", sorted(COUNTS))
def test_lists_that_lose_entries_delete_nothing_that_exists_and_miss_nothing_that_is_gone(
    running: Stack, topic: Topic, provider: str
) -> None:
    pace(running, provider=provider)
    load = begin(running, COUNTS[provider], provider=provider, name="Lied to")
    load.done()
    load.clean(topic)
    for seed, keep in enumerate(SHARES):
        lie(running, provider, keep=keep, seed=seed)
        load.again()
        load.done()
    living = ledger(load)
    assert deleted(load, topic) == set()
    load.change(archive=0.05)
    gone = living - ledger(load)
    assert gone
    load.again()
    load.done()
    running.client.control("PUT", f"{provider}/faults", json=[])
    load.again()
    load.done()
    load.becomes_clean(topic)
    assert deleted(load, topic) == gone


def lie(running: Stack, provider: str, *, keep: float, seed: int) -> None:
    """Let every list lie, batches and formulas of ids included."""
    fault: dict[str, Any] = {"match": {"path": "/*"}, "keep": keep, "seed": seed}
    running.client.control("PUT", f"{provider}/faults", json=[fault])


def ledger(load: Load) -> set[tuple[str, str]]:
    return {
        (resource, id_)
        for resource in RESOURCES[load.provider]
        for id_ in load.stack.client.ledger(load.provider, load.account, resource)
    }


def deleted(load: Load, topic: Topic) -> set[tuple[str, str]]:
    """Return what the topic has ever said is deleted, whatever came after."""
    topic.read_on()
    records = topic.records.get(load.id, [])
    return {(one.resource, one.id) for one in records if one.content is None}

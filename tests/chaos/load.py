"""Load one account over its own connection, and judge the result."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any

from tests.chaos.checker import Report, check
from tests.chaos.stack import Stack
from tests.chaos.topic import Topic
from tests.support.client import ENDED
from tests.support.waiting import PATIENCE_S, eventually

PAGE = 100
PAGES = {"hubspot": "/crm/objects/", "notion": "/v1/", "airtable": "/v0/"}
"""The paths at which a provider's pages begin."""
SMALL = {"companies": 200, "contacts": 300, "deals": 100}
_number = count(1)


@dataclass
class Load:
    """Hold a load made by ``begin``.

    ``sync`` is the one that is waited for; ``again`` requests the next.
    """

    stack: Stack
    provider: str
    account: str
    counts: Mapping[str, int]
    connection: dict[str, Any]
    sync: str

    @property
    def id(self) -> str:
        return str(self.connection["id"])

    def again(self, **body: Any) -> None:
        self.sync = self.stack.client.api("POST", f"/v1/connections/{self.id}/syncs", json=body)[
            "id"
        ]

    def reconnect(self) -> None:
        """Consent again to the same connection, which loads it again."""
        connection = self.stack.client.connect(self.provider, account=self.account)
        assert connection["id"] == self.id
        assert connection["status"] == "active"
        self.connection, self.sync = connection, connection["sync_id"]

    def change(self, *, update: float = 0.0, archive: float = 0.0, create: float = 0.0) -> None:
        """Change these shares of each resource at the provider."""
        for resource, held in self.counts.items():
            change = {
                "update": int(update * held),
                "archive": int(archive * held),
                "create": int(create * held),
            }
            path = f"{self.provider}/accounts/{self.account}/mutate"
            self.stack.client.control("POST", path, json={"resource": resource, **change})

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.stack.client.api("GET", f"/v1/syncs/{self.sync}")
        return found

    def items(self) -> int:
        """Return how many items of this sync are known to have been read so far."""
        return sum(row["items"] for row in self.state()["resources"])

    def under_way(self, *, share: float = 0.0) -> None:
        """Wait until more than this share of the items has come, but not all of them.

        ``held`` keeps a short load from ending first.
        """
        wanted = share * sum(self.counts.values())
        eventually(lambda: self.items() > wanted, every=0.02)
        assert self.state()["state"] not in ENDED, "the load was over before it could be disturbed"

    def done(self, *, within: float = PATIENCE_S) -> None:
        ended = self.stack.client.synced(self.sync, within=within)
        assert ended["state"] == "done", ended

    def outlasted(self) -> dict[str, Any]:
        """Return the ended sync. What is tried again is tried until the product gives up."""
        eventually(lambda: self.state()["state"] in {"waiting", *ENDED}, every=0.05)
        self.stack.clock.move(days=2)
        return self.stack.client.synced(self.sync)

    def verdict(self, topic: Topic) -> Report:
        return check(self.stack.client, topic, self.provider, self.account, self.id)

    def clean(self, topic: Topic) -> Report:
        """Check that nothing is lost, doubled, stale or phantom: a done sync is complete."""
        report = self.verdict(topic)
        assert report.clean, str(report)
        for row in self.state()["resources"]:
            receipt = row["receipt"]
            # Work that is left for the background may have changed something since.
            left = receipt and (receipt["unconfirmed"] or receipt["truncated"])
            if receipt and receipt["digest"] and not left:
                assert receipt["digest"] == topic.lane_digest(self.id, row["resource"]), row
        return report

    def becomes_clean(self, topic: Topic, *, within: float = PATIENCE_S) -> None:
        """Wait until the product has repaired what was disturbed behind its back."""
        end = time.monotonic() + within
        while not (report := self.verdict(topic)).clean:
            assert time.monotonic() < end, f"not within {within} s: {report}"
            time.sleep(0.5)

    def requests(self) -> list[dict[str, Any]]:
        """Return the requests of this account, as far as their token is known."""
        found = self.stack.client.control("GET", f"{self.provider}/requests")["items"]
        return [row for row in found if row["account"] == self.account]

    def page_requests(self) -> list[dict[str, Any]]:
        """Return the pages that the provider served, oldest first."""
        start = PAGES[self.provider]
        return [
            row
            for row in self.requests()
            if row["method"] == "GET" and row["status"] == 200 and row["path"].startswith(start)
        ]

    def pages(self) -> Counter[tuple[str, str]]:
        """Return page → how often the provider served it."""
        return Counter((row["path"], row["query"]) for row in self.page_requests())

    def refetched(self) -> int:
        """Return the pages that were served more than once, each with its number of repeats.

        What came after the sync's end does not count: an old walk is followed by another one.
        """
        ended_at = self.state()["ended_at"]
        served = Counter(
            (row["path"], row["query"])
            for row in self.page_requests()
            if ended_at is None
            or datetime.fromisoformat(row["at"]) <= datetime.fromisoformat(ended_at)
        )
        return sum(times - 1 for times in served.values())


def begin(
    stack: Stack,
    counts: Mapping[str, int] | None = None,
    *,
    provider: str = "hubspot",
    name: str = "Load",
) -> Load:
    """Make a new account with a new connection, whose first sync has begun."""
    counts = SMALL if counts is None else counts
    account = stack.client.account(provider, counts, name=f"{name} {next(_number)}")
    connection = stack.client.connect(provider, account=account)
    return Load(stack, provider, account, counts, connection, connection["sync_id"])


def held(stack: Stack, *, provider: str = "hubspot") -> None:
    """Let the provider serve three more pages, and then no more until its faults are replaced.

    A load that begins now cannot be over before a test disturbs it, however busy the machine is.
    """
    match = {"method": "GET", "path": f"{PAGES[provider]}*"}
    faults = [{"match": match, "after": 3, "hold": True}]
    stack.client.control("PUT", f"{provider}/faults", json=faults)


def released(stack: Stack, *, provider: str = "hubspot") -> None:
    """Let the provider serve what ``held`` kept back."""
    stack.client.control("PUT", f"{provider}/faults", json=[])


def pace(stack: Stack, *, latency_ms: float = 0.0, provider: str = "hubspot") -> None:
    """Remove the limits, and delay each answer by this long."""
    stack.client.control("PUT", f"{provider}/limits", json={"off": True, "latency_ms": latency_ms})

"""Compare what exists at the provider, what the topic holds and what the read model shows.

The topic is judged by its last record per key in the order of offsets, which is what compaction
keeps and what every new reader gets. This record must also have the key's highest version.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from typing_extensions import override

from tests.chaos.topic import Record, Topic, content
from tests.support.client import RESOURCES, Client

Kind = Literal["lost", "doubled", "stale", "phantom"]
KINDS: tuple[Kind, ...] = ("lost", "doubled", "stale", "phantom")
EXAMPLES = 3
TIMELESS = {"users"}
"""Resources whose time of change the provider knows but does not report."""
Key = tuple[str, str]
"""Resource and id."""
Ledger = Mapping[Key, str | None]
"""Existing keys, with the time of their last change where the provider has one."""


@dataclass(frozen=True)
class Finding:
    kind: Kind
    key: Key
    where: str


@dataclass(frozen=True)
class Report:
    """Hold the differences; ``items`` is how many exist at the provider."""

    items: int
    records: int
    findings: list[Finding] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        found = Counter(finding.kind for finding in self.findings)
        return {kind: found[kind] for kind in KINDS}

    @property
    def clean(self) -> bool:
        return not self.findings

    @override
    def __str__(self) -> str:
        lines = [f"{self.items} items, {self.records} records: {self.counts}"]
        for kind in KINDS:
            some = [finding for finding in self.findings if finding.kind == kind]
            lines += [f"  {kind}: {'/'.join(one.key)} ({one.where})" for one in some[:EXAMPLES]]
        return "\n".join(lines)


def compare(
    ledger: Ledger, records: Sequence[Record], shown: Sequence[Mapping[str, Any]]
) -> Report:
    """Compare ``records`` of a connection (in order per partition) with what is ``shown``."""
    kept = {_key(record): record for record in records}
    newest: dict[Key, Record] = {}
    for record in records:
        if _key(record) not in newest or newest[_key(record)].version < record.version:
            newest[_key(record)] = record
    live = {key: record for key, record in kept.items() if record.content is not None}
    items = {(item["resource"], item["id"]): item for item in shown}
    findings = [
        *_members(ledger, live.keys(), "topic"),
        *_members(ledger, items.keys(), "read model"),
        *_doubled(records, shown),
        *_overtaken(kept, newest),
        *_old(ledger, {key: record.modified for key, record in live.items()}, "topic"),
        *_old(ledger, {key: item["modified_at"] for key, item in items.items()}, "read model"),
        *_behind(newest, items),
    ]
    return Report(items=len(ledger), records=len(records), findings=findings)


def check(client: Client, topic: Topic, provider: str, account: str, connection: str) -> Report:
    """Read all three and compare them."""
    ledger: dict[Key, str | None] = {}
    for resource in RESOURCES[provider]:
        for id_, row in client.ledger(provider, account, resource).items():
            ledger[resource, id_] = None if resource in TIMELESS else row["modified"]
    topic.read_on()
    return compare(ledger, topic.records.get(connection, []), list(client.items(connection)))


def _key(record: Record) -> Key:
    return record.resource, record.id


def _members(ledger: Ledger, ours: Iterable[Key], where: str) -> list[Finding]:
    held = set(ours)
    lost = [Finding("lost", key, where) for key in sorted(ledger.keys() - held)]
    return lost + [Finding("phantom", key, where) for key in sorted(held - ledger.keys())]


def _doubled(records: Iterable[Record], shown: Iterable[Mapping[str, Any]]) -> list[Finding]:
    counts = Counter((item["resource"], item["id"]) for item in shown)
    found = [
        Finding("doubled", key, f"{count} times in the read model")
        for key, count in counts.items()
        if count > 1
    ]
    contents: dict[tuple[Key, int], bytes | None] = {}
    places: dict[Key, int] = {}
    for record in records:
        key = _key(record)
        if contents.setdefault((key, record.version), record.content) != record.content:
            found.append(
                Finding("doubled", key, f"version {record.version} has two contents on the topic")
            )
        if places.setdefault(key, record.partition) != record.partition:
            found.append(Finding("doubled", key, "in two partitions"))
    return found


def _overtaken(kept: Mapping[Key, Record], newest: Mapping[Key, Record]) -> list[Finding]:
    return [
        Finding(
            "stale",
            key,
            f"topic: version {record.version} came after version {newest[key].version}",
        )
        for key, record in kept.items()
        if record.version < newest[key].version
    ]


def _old(ledger: Ledger, modified: Mapping[Key, str | None], where: str) -> list[Finding]:
    return [
        Finding("stale", key, f"{where}: of {modified[key]}, not of {ledger[key]}")
        for key in ledger.keys() & modified.keys()
        if ledger[key] is not None and modified[key] != ledger[key]
    ]


def _behind(newest: Mapping[Key, Record], items: Mapping[Key, Mapping[str, Any]]) -> list[Finding]:
    found = []
    for key in items.keys() & newest.keys():
        record, item = newest[key], items[key]
        if item["version"] != record.version:
            where = f"read model: version {item['version']}, the topic has {record.version}"
            found.append(Finding("stale", key, where))
        elif content(dict(item)) != record.content:
            found.append(
                Finding(
                    "stale", key, f"read model: not what the topic says of version {record.version}"
                )
            )
    return found

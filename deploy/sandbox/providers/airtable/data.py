"""Generate the simulated accounts: bases, tables and records, always the same for the same seed."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar, Final

import msgspec
from litestar import Response

from deploy.sandbox.providers.airtable.blueprints import BASES, BLUEPRINTS, EPOCH, Blueprint
from deploy.sandbox.providers.airtable.columns import Column
from deploy.sandbox.providers.airtable.responses import respond, unknown_call
from deploy.sandbox.providers.airtable.sample_names import NASTY
from deploy.sandbox.world import Limit, Rows, SandboxAccount, SandboxRow
from shared.errors import BadRequest

ALPHABET: Final = string.digits + string.ascii_letters
NASTY_SHARE: Final = 0.03
EMPTY_SHARE: Final = 0.02
COPIED_FROM: Final = 3
"""With this many bases, the last one starts with a copy of the first table; copies keep all ids."""


def new_id(rng: random.Random, prefix: str) -> str:
    return prefix + "".join(rng.choices(ALPHABET, k=14))


class SimulatedAirtable:
    slug = "airtable"
    resources = ("bases", "tables", "records")
    cursor = "offset"
    shared = "bases"
    limits: ClassVar[dict[str, Limit]] = {
        "base": Limit(5, 1.0, penalty_s=30.0),
        "token": Limit(50, 1.0, penalty_s=30.0),
    }

    def __init__(self) -> None:
        counts = {"bases": 3, "tables": 10, "records": 1500}
        name = "orchard@example.com"
        self.default = SandboxAccount(id=self.account_id(name, 1), name=name, seed=1, counts=counts)

    def account_id(self, name: str, seed: int) -> str:
        return new_id(random.Random(f"{seed}:{name}"), "usr")

    def generate(self, account: SandboxAccount) -> Iterator[tuple[str, SandboxRow]]:
        """Yield all rows; a base or table that the counts leave out but rows need is added."""
        records = account.counts.get("records", 0)
        tables = account.counts.get("tables", 0) or int(records > 0)
        bases = account.counts.get("bases", 0) or int(tables > 0)
        rng = random.Random(f"{account.seed}:{account.id}:bases")
        ids = [new_id(rng, "app") for _ in range(bases)]
        for number, id_ in enumerate(ids):
            yield "bases", _base(id_, number)
        sizes = _sizes(records, tables)
        for number in range(tables):
            home = number * bases // tables
            first = number and (number - 1) * bases // tables < home == bases - 1 >= COPIED_FROM - 1
            original = 0 if first else number
            of = random.Random(f"{account.seed}:{account.id}:tables:{original}")
            table = _table(ids[home], original, of)
            yield "tables", table
            yield from (("records", _record(table, n, of)) for n in range(sizes[number]))

    def create(self, account: SandboxAccount, rows: Rows, resource: str, at: str) -> SandboxRow:
        number = len(rows[resource])
        rng = random.Random(f"{account.seed}:{account.id}:{resource}:new:{number}")
        bases = [row for row in rows["bases"].values() if not row.archived]
        if resource == "bases":
            return _base(new_id(rng, "app"), number)
        if not bases:
            raise BadRequest(f"no base is left to create {resource} in: create one first")
        if resource == "tables":
            return _table(bases[number % len(bases)].id, number, rng)
        live = {base.id for base in bases}
        tables = [
            row
            for row in rows["tables"].values()
            if not row.archived and row.id.split("/")[0] in live
        ]
        if not tables:
            raise BadRequest("no table is left to create records in: create one first")
        return _record(tables[number % len(tables)], number, rng, at=f"{at[:19]}.000Z")

    def update(self, row: SandboxRow, resource: str, at: str) -> SandboxRow:
        """Rename a base or table, or edit a text of a record; each update changes the content."""
        times = row.body.get("times", 0) + 1
        if resource != "records":
            name = str(row.body["name"]).partition(" (renamed")[0]
            return _with_body(row, {"name": f"{name} (renamed {times})", "times": times})
        text = row.body["text"]
        cells = row.body["fields"] | {text: f"Edited {times} times, last at {at}"}
        cells |= dict.fromkeys(row.body.get("changed", ()), at)
        return _with_body(row, {"fields": cells, "times": times})

    def refusal(self, method: str, path: str) -> Response[bytes]:
        error = unknown_call(method, path)
        return respond(error.body(), error.status)

    def odd(self, row: SandboxRow, resource: str) -> SandboxRow:
        odd = {"createdTime": 1_700_000_000} if resource == "records" else {"name": 17}
        return _with_body(row, {"odd": odd})

    def emptied(
        self,
        answer: dict[str, Any],
        cursor: str,
        link: str | None,  # noqa: ARG002  # pages have no links
    ) -> dict[str, Any] | None:
        listed: dict[str, Any] = {name: [] for name in ("bases", "records") if name in answer}
        return {**answer, **listed, "offset": cursor} if listed else None

    def archive(
        self,
        rows: Rows,
        resource: str,
        row: SandboxRow,
        at: str,  # noqa: ARG002  # deletions leave no time
    ) -> list[tuple[str, SandboxRow]]:
        """Archive a base together with its tables, and a table together with its records."""
        inside = f"{row.id}/"
        gone = [(resource, row)]
        for kind in self.resources[self.resources.index(resource) + 1 :]:
            gone += [
                (kind, one)
                for one in rows[kind].values()
                if one.id.startswith(inside) and not one.archived
            ]
        return [(kind, msgspec.structs.replace(one, archived=True)) for kind, one in gone]


def _with_body(row: SandboxRow, changes: dict[str, Any]) -> SandboxRow:
    return msgspec.structs.replace(row, body=row.body | changes)


def _sizes(records: int, tables: int) -> list[int]:
    """Return uneven table sizes that add up; of four or more tables, the last is empty."""
    filled = tables - 1 if tables > COPIED_FROM else tables
    if not filled:
        return [0] * tables
    weights = [1 + (number * 7 + 4) % 5 for number in range(filled)]
    sizes = [records * weight // sum(weights) for weight in weights]
    sizes[0] += records - sum(sizes)
    return sizes + [0] * (tables - filled)


def _base(id_: str, number: int) -> SandboxRow:
    name = BASES[number % len(BASES)] + (f" {number + 1}" if number >= len(BASES) else "")
    return SandboxRow(
        id=id_, created="", modified="", body={"name": name, "permissionLevel": "create"}
    )


def _table(base: str, number: int, rng: random.Random) -> SandboxRow:
    blueprint = BLUEPRINTS[number % len(BLUEPRINTS)]
    fields = [_field(column, new_id(rng, "fld")) for column in blueprint.columns]
    texts = [
        field["id"] for field in fields if field["type"] in {"singleLineText", "multilineText"}
    ]
    body = {
        "name": blueprint.name + (f" {number + 1}" if number >= len(BLUEPRINTS) else ""),
        "primaryFieldId": fields[0]["id"],
        "fields": fields,
        "views": [{"id": new_id(rng, "viw"), "name": "Grid view", "type": "grid"}],
        "blueprint": number % len(BLUEPRINTS),
        "text": texts[0],
    }
    id_ = new_id(rng, "tbl")
    for field in fields:
        if field["type"] == "multipleRecordLinks":
            field["options"] = {**field["options"], "linkedTableId": id_}
    return SandboxRow(id=f"{base}/{id_}", created="", modified="", body=body)


def _field(column: Column, id_: str) -> dict[str, Any]:
    field: dict[str, Any] = {"id": id_, "name": column.name, "type": column.type}
    if column.options:
        field["options"] = column.options
    return field


def _record(
    table: SandboxRow, number: int, rng: random.Random, *, at: str | None = None
) -> SandboxRow:
    made = EPOCH + timedelta(minutes=number * 7 + rng.randrange(7), seconds=rng.randrange(60))
    at = at or made.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    cells = _cells(table, BLUEPRINTS[table.body["blueprint"]], number, rng)
    return new_record(table, f"{table.id}/{new_id(rng, 'rec')}", cells, at=at)


def new_record(table: SandboxRow, id_: str, cells: dict[str, Any], *, at: str) -> SandboxRow:
    """Return a record, with its own times in the columns that tell them."""
    changed = fields_of(table, "lastModifiedTime")
    cells = cells | dict.fromkeys([*fields_of(table, "createdTime"), *changed], at)
    body = {"fields": cells, "text": table.body["text"], "changed": changed}
    return SandboxRow(id=id_, created=at, modified="", body=body)


def fields_of(table: SandboxRow, type_: str) -> list[str]:
    """Return the ids of a table's fields of one type."""
    return [field["id"] for field in table.body["fields"] if field["type"] == type_]


def _cells(
    table: SandboxRow, blueprint: Blueprint, number: int, rng: random.Random
) -> dict[str, Any]:
    """Return a record's cells; now and then the primary cell is missing, and rarely all of them."""
    cells: dict[str, Any] = {}
    for field, column in zip(table.body["fields"], blueprint.columns, strict=True):
        value = column.value(rng, number)
        if filled(value):
            cells[field["id"]] = value
    luck = rng.random()
    if luck < NASTY_SHARE:
        cells[table.body["text"]] = rng.choice(NASTY)
    elif luck < NASTY_SHARE + EMPTY_SHARE:
        cells.pop(table.body["primaryFieldId"], None)
    elif luck > 1 - EMPTY_SHARE / 4:
        cells.clear()
    return cells


def filled(value: Any) -> bool:
    """Return whether Airtable shows the cell: null, false and empty ones never appear."""
    return not (value is None or value is False or value in ("", []))

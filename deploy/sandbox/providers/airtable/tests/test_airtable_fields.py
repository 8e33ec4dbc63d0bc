"""Fields of every type: which have cells, which nobody writes, and which tell a row's times."""

import httpx

from deploy.sandbox.providers.airtable.data import fields_of
from deploy.sandbox.providers.airtable.tests.serving import access_token
from deploy.sandbox.providers.airtable.tests.test_airtable_sandbox import bearer, kind
from deploy.sandbox.world import World
from tests.support.waiting import PATIENCE_S

TYPES = {
    *("singleLineText", "multilineText", "richText", "email", "url", "phoneNumber"),
    *("singleSelect", "externalSyncSource", "manualSort", "number", "currency", "percent"),
    *("duration", "rating", "count", "autoNumber", "checkbox", "date", "dateTime", "createdTime"),
    *("lastModifiedTime", "multipleSelects", "multipleRecordLinks", "singleCollaborator"),
    *("createdBy", "lastModifiedBy", "multipleCollaborators", "multipleAttachments", "barcode"),
    *("button", "aiText", "formula", "rollup", "multipleLookupValues"),
}
"""The types of https://airtable.com/developers/web/api/model/field-type."""


def test_a_field_of_every_type_has_a_cell_and_broken_ones_have_none(
    standing: tuple[World, str],
) -> None:
    world = standing[0]
    account = world.simulated.default.id
    tables = world.rows(account, "tables").values()
    types = {field["id"]: field["type"] for table in tables for field in table.body["fields"]}
    broken = {
        field["id"]
        for table in tables
        for field in table.body["fields"]
        if field.get("options", {}).get("isValid") is False
    }
    records = world.rows(account, "records").values()
    shown = {id_ for row in records for id_ in row.body["fields"]}
    assert set(types.values()) == TYPES
    assert {types[id_] for id_ in shown} == TYPES
    assert broken
    assert not broken & shown


def test_a_row_tells_in_its_own_columns_when_it_was_made_and_changed(
    standing: tuple[World, str],
) -> None:
    world = standing[0]
    account = world.simulated.default.id
    tables = world.rows(account, "tables").values()
    ids = {field["type"]: field["id"] for table in tables for field in table.body["fields"]}
    made, changed = ids["createdTime"], ids["lastModifiedTime"]
    row = next(one for one in world.rows(account, "records").values() if made in one.body["fields"])
    assert row.body["fields"][made] == row.body["fields"][changed] == row.created
    world.mutate(account, "records", create=0, update=[row.id], archive=0)
    cells = world.rows(account, "records")[row.id].body["fields"]
    assert cells[made] == row.created < cells[changed]


def test_computed_cells_are_written_by_nobody_and_survive_a_replacement(
    standing: tuple[World, str],
) -> None:
    world, url = standing
    account = world.simulated.default.id
    table = next(
        row for row in world.rows(account, "tables").values() if fields_of(row, "createdTime")
    )
    (made,), (changed,) = fields_of(table, "createdTime"), fields_of(table, "lastModifiedTime")
    row = next(one for one in world.rows(account, "records").values() if made in one.body["fields"])
    token = access_token(url, scope="data.records:read data.records:write")
    one = {"id": row.id.rpartition("/")[2], "fields": {changed: "2020-01-01T00:00:00.000Z"}}
    path = f"{url}/v0/{table.id}"
    refused = httpx.patch(path, json={"records": [one]}, headers=bearer(token), timeout=PATIENCE_S)
    assert kind(refused) == (422, "INVALID_VALUE_FOR_COLUMN")
    world.clock.advance(100)
    replaced = httpx.put(
        path, json={"records": [{**one, "fields": {}}]}, headers=bearer(token), timeout=PATIENCE_S
    )
    assert replaced.status_code == 200
    cells = world.rows(account, "records")[row.id].body["fields"]
    assert cells[made] == row.created < cells[changed]
    new = httpx.post(path, json={"fields": {}}, headers=bearer(token), timeout=PATIENCE_S).json()
    (record,) = [
        one for id_, one in world.rows(account, "records").items() if id_.endswith(new["id"])
    ]
    assert record.body["fields"] == {made: record.created, changed: record.created}

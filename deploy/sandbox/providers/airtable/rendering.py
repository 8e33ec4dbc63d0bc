"""Render records as the API shows them."""

from __future__ import annotations

from typing import Any, Final

from deploy.sandbox.providers.airtable.files import Signed
from deploy.sandbox.providers.airtable.query import ListQuery
from deploy.sandbox.providers.airtable.responses import invalid
from deploy.sandbox.world import SandboxRow

COMPUTED: Final = {
    *("aiText", "autoNumber", "button", "count", "createdBy", "createdTime"),
    *("externalSyncSource", "formula", "lastModifiedBy", "lastModifiedTime"),
    *("manualSort", "multipleLookupValues", "rollup"),
}
"""The types of fields whose cells nobody writes."""


class Fields:
    """Look up a table's fields by name or id."""

    def __init__(self, table: SandboxRow) -> None:
        self.names: dict[str, str] = {field["id"]: field["name"] for field in table.body["fields"]}
        self._ids = {name: id_ for id_, name in self.names.items()}
        self.computed = {field["id"] for field in table.body["fields"] if field["type"] in COMPUTED}

    def id(self, name_or_id: str) -> str:
        found = self._ids.get(name_or_id, name_or_id)
        if found not in self.names:
            raise invalid(f'Unknown field name: "{name_or_id}"', "UNKNOWN_FIELD_NAME")
        return found


def rendered(row: SandboxRow, query: ListQuery, fields: Fields, signed: Signed) -> dict[str, Any]:
    """Return a record as the API answers it."""
    cells: dict[str, Any] = row.body["fields"]
    if query.fields is not None:
        wanted = {fields.id(name) for name in query.fields}
        cells = {id_: value for id_, value in cells.items() if id_ in wanted}
    cells = {id_: signed(value) for id_, value in cells.items()}
    if query.cell_format == "string":
        cells = {id_: as_text(value) for id_, value in cells.items()}
    if not query.return_fields_by_field_id:
        cells = {fields.names[id_]: value for id_, value in cells.items()}
    record = {"id": row.id.rpartition("/")[2], "createdTime": row.created, "fields": cells}
    record |= row.body.get("odd", {})
    return record | {"commentCount": 0} if query.record_metadata else record


def as_text(value: Any) -> str:
    match value:
        case bool():
            return "checked" if value else ""
        case list():
            return ", ".join(map(as_text, value))
        case dict():
            return str(
                next(
                    (value[key] for key in ("name", "filename", "text", "url") if key in value), ""
                )
            )
        case _:
            return str(value)

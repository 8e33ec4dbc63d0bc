"""What a list request asks for, from a query string or from the body of ``POST …/listRecords``."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec

from deploy.sandbox.providers.airtable.door import AnyRequest, invalid
from deploy.sandbox.world import Row

SORT = re.compile(r"sort\[(\d{1,2})\]\[(field|direction)\]")
ONLY_IN_URL = frozenset({"timeZone", "userLocale"})


class Sort(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    field: str
    direction: Literal["asc", "desc"] = "asc"


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    page_size: Annotated[int, msgspec.Meta(ge=1, le=100)] = 100
    max_records: Annotated[int, msgspec.Meta(ge=1)] | None = None
    offset: str | None = None
    view: str | None = None
    sort: tuple[Sort, ...] = ()
    fields: tuple[str, ...] | None = None
    filter_by_formula: str = ""
    cell_format: Literal["json", "string"] = "json"
    time_zone: str | None = None
    user_locale: str | None = None
    return_fields_by_field_id: bool = False
    record_metadata: tuple[Literal["commentCount"], ...] = ()

    def fingerprint(self) -> str:
        """What an offset is bound to: everything but the page."""
        return msgspec.json.encode(msgspec.structs.replace(self, offset=None, page_size=100)).decode()


def from_url(request: AnyRequest) -> Query:
    plain: dict[str, Any] = {}
    sorts: dict[int, dict[str, str]] = {}
    for key in request.query_params:
        values = request.query_params.getall(key)
        if found := SORT.fullmatch(key):
            sorts.setdefault(int(found[1]), {})[found[2]] = values[-1]
        elif key in {"fields[]", "recordMetadata[]", "fields", "recordMetadata"}:
            plain[key.removesuffix("[]")] = values
        else:
            plain[key] = values[-1]
    if sorts:
        plain["sort"] = [sorts[number] for number in sorted(sorts)]
    return _checked(plain, strict=False)


def from_body(request: AnyRequest, body: bytes) -> Query:
    """The same names in JSON, but for time zone and locale, which stay in the URL."""
    try:
        plain = msgspec.json.decode(body or b"{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise invalid("Could not parse request body") from None
    if misplaced := ONLY_IN_URL & plain.keys():
        raise invalid(f"{min(misplaced)} must be given in the query string")
    in_url = {key: request.query_params[key] for key in ONLY_IN_URL if key in request.query_params}
    return _checked(plain | in_url, strict=True)


def _checked(plain: dict[str, Any], *, strict: bool) -> Query:
    try:
        query = msgspec.convert(plain, Query, strict=strict)
    except msgspec.ValidationError as error:
        raise invalid(f"Invalid request: parameter validation failed. {error}") from None
    if query.cell_format == "string" and not (query.time_zone and query.user_locale):
        raise invalid("cellFormat string needs timeZone and userLocale")
    return query


class Fields:
    """A table's fields, addressed by name or by id."""

    def __init__(self, table: Row) -> None:
        self.names: dict[str, str] = {field["id"]: field["name"] for field in table.body["fields"]}
        self._ids = {name: id_ for id_, name in self.names.items()}

    def id(self, name_or_id: str) -> str:
        found = self._ids.get(name_or_id, name_or_id)
        if found not in self.names:
            raise invalid(f'Unknown field name: "{name_or_id}"', "UNKNOWN_FIELD_NAME")
        return found


def shown(row: Row, query: Query, fields: Fields) -> dict[str, Any]:
    """A record as the API answers it."""
    cells: dict[str, Any] = row.body["fields"]
    if query.fields is not None:
        wanted = {fields.id(name) for name in query.fields}
        cells = {id_: value for id_, value in cells.items() if id_ in wanted}
    if query.cell_format == "string":
        cells = {id_: as_text(value) for id_, value in cells.items()}
    if not query.return_fields_by_field_id:
        cells = {fields.names[id_]: value for id_, value in cells.items()}
    record = {"id": row.id.rpartition("/")[2], "createdTime": row.created, "fields": cells}
    return record | {"commentCount": 0} if query.record_metadata else record


def as_text(value: Any) -> str:
    match value:
        case bool():
            return "checked" if value else ""
        case list():
            return ", ".join(map(as_text, value))
        case dict():
            return str(next((value[key] for key in ("name", "filename", "text", "url") if key in value), ""))
        case _:
            return str(value)

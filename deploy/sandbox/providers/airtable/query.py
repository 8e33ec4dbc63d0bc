"""Parse a list request, from the query string or from the body of ``POST …/listRecords``."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

import msgspec

from deploy.sandbox.providers.airtable.responses import AnyRequest, invalid

SORT: Final = re.compile(r"sort\[(\d{1,2})\]\[(field|direction)\]")
ONLY_IN_URL: Final = frozenset({"timeZone", "userLocale"})


class Sort(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    field: str
    direction: Literal["asc", "desc"] = "asc"


class ListQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
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
        """Return the part of the query that an offset is bound to: all but the page."""
        return msgspec.json.encode(
            msgspec.structs.replace(self, offset=None, page_size=100)
        ).decode()


def from_url(request: AnyRequest) -> ListQuery:
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


def from_body(request: AnyRequest, body: bytes) -> ListQuery:
    """Parse the same names from JSON; time zone and locale stay in the URL."""
    try:
        plain = msgspec.json.decode(body or b"{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise invalid("Could not parse request body") from None
    if misplaced := ONLY_IN_URL & plain.keys():
        raise invalid(f"{min(misplaced)} must be given in the query string")
    in_url = {key: request.query_params[key] for key in ONLY_IN_URL if key in request.query_params}
    return _checked(plain | in_url, strict=True)


def _checked(plain: dict[str, Any], *, strict: bool) -> ListQuery:
    try:
        query = msgspec.convert(plain, ListQuery, strict=strict)
    except msgspec.ValidationError as error:
        raise invalid(f"Invalid request: parameter validation failed. {error}") from None
    if query.cell_format == "string" and not (query.time_zone and query.user_locale):
        raise invalid("cellFormat string needs timeZone and userLocale")
    return query

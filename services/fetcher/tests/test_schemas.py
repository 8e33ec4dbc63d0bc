"""A part goes on when its schema was read again, unless what pages are asked for has changed."""

from __future__ import annotations

from services.fetcher.context import Schemas
from shared.connector import PartSchema
from shared.providers.hubspot.walk import Columns


def digest(schema: PartSchema) -> bytes:
    kept = Schemas()
    kept.keep("job", {"key": schema})
    found = kept.get("job", "key")
    assert found is not None
    return found.digest


def test_fields_that_are_left_out_change_no_page() -> None:
    """HubSpot names sensitive ones by calls of their own, which may fail while others succeed."""
    asked = Columns(names=("email",), left_out=("hs_v2_x",))
    with_sensitive = Columns(names=("email",), left_out=("hs_v2_x", "diagnosis"))
    assert digest(asked.schema()) == digest(with_sensitive.schema())
    assert digest(asked.schema()) != digest(Columns(names=("email", "phone")).schema())

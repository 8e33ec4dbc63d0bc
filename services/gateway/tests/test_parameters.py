"""Times in a query: what RFC 3339 permits is read, in the form that the rows have."""

import pytest

from services.gateway.http.parameters import moment
from shared.errors import BadRequest


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("2026-01-31T09:30:00Z", "2026-01-31T09:30:00.000Z"),
        ("2026-01-31T09:30:00.5Z", "2026-01-31T09:30:00.500Z"),
        ("2026-01-31T09:30:30.123456789Z", "2026-01-31T09:30:30.123Z"),
        ("2026-01-31T09:30:30.99999999999999999999Z", "2026-01-31T09:30:30.999Z"),
        ("2026-01-31t09:30:00z", "2026-01-31T09:30:00.000Z"),
        ("2026-01-31T01:30:00+02:00", "2026-01-30T23:30:00.000Z"),
        ("2026-01-31T01:30:00 02:00", "2026-01-30T23:30:00.000Z"),
        ("2026-01-31T09:30:00-00:30", "2026-01-31T10:00:00.000Z"),
        ("0500-01-01T00:00:00Z", "0500-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59.123Z", "9999-12-31T23:59:59.123Z"),
    ],
)
def test_a_time_is_read_in_the_rows_own_form(given: str, read: str) -> None:
    assert moment("synced_since", given) == read


@pytest.mark.parametrize(
    "given",
    [
        "",
        "yesterday",
        "1769851800",
        "2026-01-31",
        "2026-01-31T09:30Z",
        "2026-01-31T09:30:00",
        "2026-01-31T09:30:00.Z",
        "2026-01-31T09:30:00,5Z",
        "2026-01-31T09:30:00+0200",
        "2026-13-01T00:00:00Z",
        "2026-01-31T24:00:00Z",
        "２０２６-01-31T09:30:00Z",
        "2026-01-31T09:30:00Z\n",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
    ],
)
def test_any_other_text_is_refused_and_the_parameter_is_named(given: str) -> None:
    with pytest.raises(BadRequest, match=r"^`synced_since`: give a time like ") as refused:
        moment("synced_since", given)
    assert (refused.value.code, refused.value.field) == ("bad_time", "synced_since")

"""Read a ``Retry-After`` header, whatever stands in it."""

from __future__ import annotations

import pytest

from shared.connector import retry_after

A_DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("999999999", A_DAY_S),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", A_DAY_S),
        ("Wed, 21 Oct 2015 07:28:00 +999999999999999", None),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
    ],
)
def test_a_wait_is_between_nothing_and_a_day_or_unknown(header: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": header}) == seconds


def test_without_the_header_the_wait_is_unknown() -> None:
    assert retry_after({}) is None

"""An unknown provider is refused with its name, those there are, and a hint."""

from __future__ import annotations

import pytest

from shared.errors import BadRequest
from shared.settings import configured_for


def refused(asked: str) -> BadRequest:
    with pytest.raises(BadRequest) as error:
        configured_for(asked, {"hubspot": 1, "notion": 2}, field="provider")
    return error.value


@pytest.mark.parametrize(
    ("asked", "hint"), [("Notion", True), ("noton", True), ("x" * 10_000, False), ("", False)]
)
def test_a_near_name_is_suggested(asked: str, hint: bool) -> None:
    assert ("Did you mean `notion`?" in refused(asked).detail) is hint


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("salesforce", "`salesforce` is not"),
        ("x" * 10_000, f"`{'x' * 60}…` is not"),
        ("a\u202eb`\n\x1b[31mc", "`ab[31mc` is not"),
    ],
)
def test_the_name_is_repeated_short_and_without_what_is_invisible(asked: str, shown: str) -> None:
    error = refused(asked)
    assert error.detail.startswith(f"{shown} a provider here. Known: hubspot, notion.")
    assert (error.code, error.field) == ("unknown_provider", "provider")

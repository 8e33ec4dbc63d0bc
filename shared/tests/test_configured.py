"""An unknown provider is refused with a hint, and never repeated."""

from __future__ import annotations

import pytest

from shared.errors import BadRequest
from shared.settings import configured_for


@pytest.mark.parametrize(
    ("asked", "hint"), [("Notion", True), ("noton", True), ("x" * 10_000, False), ("", False)]
)
def test_a_near_name_is_suggested(asked: str, hint: bool) -> None:
    with pytest.raises(BadRequest) as refused:
        configured_for(asked, {"hubspot": 1, "notion": 2})
    assert ("Did you mean `notion`?" in str(refused.value)) is hint
    assert "xxx" not in str(refused.value)

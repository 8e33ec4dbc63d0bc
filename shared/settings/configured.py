"""Find what is set up for a provider."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final, TypeVar

from shared.errors import BadRequest

T = TypeVar("T")
_COMPARED: Final = 40


def configured_for(provider: str, configured: Mapping[str, T]) -> T:
    """Return what ``configured`` (by provider) holds for ``provider``.

    Raises:
        BadRequest: no such provider is set up here. The message names those that are, and not what
            was asked for, which may be anything.
    """
    found = configured.get(provider)
    if found is None:
        known = ", ".join(configured)
        near = get_close_matches(provider[:_COMPARED].lower(), list(configured), n=1)
        meant = f" Did you mean `{near[0]}`?" if near else ""
        raise BadRequest(
            f"There is no provider of that name here. Known: {known}.{meant}",
            code="unknown_provider",
        )
    return found

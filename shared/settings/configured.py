"""Find what is set up for a provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from shared.errors import BadRequest

T = TypeVar("T")


def configured_for(provider: str, configured: Mapping[str, T]) -> T:
    """Return what ``configured`` (by provider) holds for ``provider``.

    Raises:
        BadRequest: no such provider is set up here. The message names those that are, and not what
            was asked for, which may be anything.
    """
    found = configured.get(provider)
    if found is None:
        known = ", ".join(configured)
        raise BadRequest(
            f"There is no provider of that name here. Known: {known}.", code="unknown_provider"
        )
    return found

"""Find what is set up for a provider."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final, TypeVar

from shared.errors import BadRequest, quoted

T = TypeVar("T")
_COMPARED: Final = 40


def configured_for(provider: str, configured: Mapping[str, T], *, field: str | None = None) -> T:
    """Return what ``configured`` (by provider) holds for ``provider``.

    ``field`` is the parameter or field of a request that named it.

    Raises:
        BadRequest: no such provider is set up here. The message names those that are.
    """
    found = configured.get(provider)
    if found is None:
        known = ", ".join(configured)
        near = get_close_matches(provider[:_COMPARED].lower(), list(configured), n=1)
        meant = f" Did you mean `{near[0]}`?" if near else ""
        raise BadRequest(
            f"{quoted(provider)} is not a provider here. Known: {known}.{meant}",
            code="unknown_provider",
            field=field,
        )
    return found

"""Whether all that the gateway stands on answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from shared.http import HttpClient, HttpError

PATIENCE_S: Final = 2.0


async def not_ready(urls: Sequence[str], *, http: HttpClient) -> Mapping[str, str]:
    """Health address → what is wrong with it, for those that do not answer 200."""
    found = await asyncio.gather(*(_wrong(url, http) for url in urls))
    return {url: wrong for url, wrong in zip(urls, found, strict=True) if wrong}


async def _wrong(url: str, http: HttpClient) -> str | None:
    try:
        answer = await http.request("GET", url, timeout_s=PATIENCE_S)
    except HttpError as error:
        return error.detail
    return None if answer.status == 200 else f"answers {answer.status}"

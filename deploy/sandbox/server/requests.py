"""Log the requests that a sandbox received, without the secrets in them."""

from __future__ import annotations

import re
from collections import deque
from typing import Final
from urllib.parse import parse_qsl, urlencode

import msgspec

from shared.contracts.envelope import timestamp

KEPT: Final = 50_000
LONGEST: Final = 200
SECRET: Final = re.compile(
    r"token|secret|verifier|password|signature|^(code|state|hapikey|api_?key|assertion)$",
    re.IGNORECASE,
)
# Some providers have calls with the token itself in the path, after a segment like access-tokens.
SECRET_PATH: Final = re.compile(r"(?<=tokens/)[^/]+", re.IGNORECASE)
HIDDEN: Final = "[redacted]"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Describe one request.

    ``at`` is when it arrived, by the clock that all processes share and without the sandbox's own
    offset; ``ms`` counts until the last byte of the answer. ``status`` is None when the connection
    was cut before an answer; ``account`` is None without a known access token.
    """

    at: str
    method: str
    path: str
    query: str
    status: int | None
    ms: float
    account: str | None


class RequestLog:
    """Hold the newest 50,000 requests of one provider, in memory only."""

    def __init__(self) -> None:
        self._kept: deque[tuple[float, str, str, str, int | None, float, str | None]] = deque(
            maxlen=KEPT
        )

    def add(  # noqa: PLR0917  # once per request: a row, and no names for its cells
        self,
        at: float,
        method: str,
        path: str,
        query: bytes,
        status: int | None,
        ms: float,
        account: str | None,
    ) -> None:
        self._kept.append(
            (at, method, SECRET_PATH.sub(HIDDEN, path), redacted(query), status, ms, account)
        )

    def entries(self) -> list[Entry]:
        """Return the requests, oldest arrival first."""
        return [
            Entry(
                at=timestamp(at),
                method=method,
                path=path,
                query=query,
                status=status,
                ms=round(ms, 1),
                account=who,
            )
            for at, method, path, query, status, ms, who in sorted(
                self._kept, key=lambda row: row[0]
            )
        ]

    def clear(self) -> None:
        self._kept.clear()


def redacted(query: bytes) -> str:
    """Return the query with secrets hidden and values cut at 200 characters."""
    if not query:
        return ""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return urlencode(
        [(name, _shown(name, value)) for name, value in pairs],
        safe="[],:/+",
    )


def _shown(name: str, value: str) -> str:
    if SECRET.search(name):
        return HIDDEN
    return value if len(value) <= LONGEST else f"{value[:LONGEST]}…"

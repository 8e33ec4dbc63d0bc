"""Keep the faults that a test orders: answers in place of the provider's own."""

from __future__ import annotations

import asyncio
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
Text = Annotated[str, Meta(pattern=r"^[\t\x20-\x7e]*$")]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Match requests by method and path.

    ``path`` is a glob over the path after the provider's slug; ``*`` also matches slashes.
    """

    method: Method | None = None
    path: str = "*"

    def hits(self, method: str, path: str) -> bool:
        return self.method in {None, method} and fnmatchcase(path, self.path)


class Fault(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """Hold an ordered fault.

    Without ``status`` and ``drop`` the provider answers after ``delay_ms``; without ``times`` the
    fault never runs out. The first ``after`` calls that match pass as if it were not there.
    ``keep`` leaves only this share of the entries of a list in the answer, chosen by ``seed``.
    ``hold`` keeps a call waiting until the faults are replaced. ``drop`` cuts the connection:
    "request" before the provider has seen it, "answer" after it has acted.
    """

    match: Match = Match()
    status: Annotated[int, Meta(ge=200, le=599)] | None = None
    headers: dict[Name, Text] = {}
    body: Any = None
    delay_ms: Annotated[float, Meta(ge=0, le=600_000)] = 0.0
    after: Annotated[int, Meta(ge=0)] = 0
    hold: bool = False
    keep: Annotated[float, Meta(ge=0, le=1)] | None = None
    seed: int = 0
    times: Annotated[int, Meta(ge=1)] | None = None
    drop: Literal["request", "answer"] | bool = False

    @property
    def answer(self) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Return headers and body as they are sent: a string as it is, anything else as JSON."""
        if self.status in {204, 304}:
            return [(name.encode(), value.encode()) for name, value in self.headers.items()], b""
        kind, body = b"application/json", b""
        if isinstance(self.body, str):
            kind, body = b"text/plain; charset=utf-8", self.body.encode()
        elif self.body is not None:
            body = msgspec.json.encode(self.body)
        given = {name.lower(): value.encode() for name, value in self.headers.items()}
        headers = {"content-type": kind, "content-length": str(len(body)).encode()} | given
        return [(name.encode(), value) for name, value in headers.items()], body


class Faults:
    """Hold a provider's ordered faults. The first that matches and has times left is used.

    ``replaced`` is set once the present faults are replaced. A call must take it before it waits
    for anything, since the faults may be replaced meanwhile.
    """

    def __init__(self) -> None:
        self._left: list[Fault] = []
        self.replaced = asyncio.Event()

    def order(self, faults: list[Fault]) -> None:
        """Replace the faults, and release the calls that the old ones hold."""
        self._left = list(faults)
        self.replaced.set()
        self.replaced = asyncio.Event()

    def left(self) -> list[Fault]:
        return list(self._left)

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault that applies to a call, and count the call."""
        for index, fault in enumerate(self._left):
            if not fault.match.hits(method, path):
                continue
            if fault.after:
                self._left[index] = msgspec.structs.replace(fault, after=fault.after - 1)
                continue
            if fault.times == 1:
                del self._left[index]
            elif fault.times:
                self._left[index] = msgspec.structs.replace(fault, times=fault.times - 1)
            return fault
        return None

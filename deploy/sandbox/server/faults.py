"""Keep the faults that a test orders: answers in place of the provider's own."""

from __future__ import annotations

import asyncio
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from deploy.sandbox.world import Clock

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

    Without ``status`` and ``drop`` the provider answers after ``delay_ms``. The first ``after``
    calls that match pass as if the fault were not there. It is over after ``times`` calls, or
    ``for_s`` seconds of the sandbox's clock after the first call it applied to; without either it
    never ends.
    ``keep`` leaves only this share of the entries of a list in the answer, chosen by ``seed``;
    ``leave_out`` names entries that are left out.
    ``empty`` answers an empty page, whose cursor leads to the page that was asked for.
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
    leave_out: frozenset[str] = frozenset()
    empty: bool = False
    times: Annotated[int, Meta(ge=1)] | None = None
    for_s: Annotated[float, Meta(gt=0)] | None = None
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
    """Hold a provider's ordered faults. The first that matches and is not over is used.

    ``replaced`` is set once the present faults are replaced. A call must take it before it waits
    for anything, since the faults may be replaced meanwhile.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ordered: list[_Ordered] = []
        self.replaced = asyncio.Event()

    def order(self, faults: list[Fault]) -> None:
        """Replace the faults, and release the calls that the old ones hold."""
        self._ordered = [_Ordered(fault) for fault in faults]
        self.replaced.set()
        self.replaced = asyncio.Event()

    def left(self) -> list[Fault]:
        """Return the faults that are not over, each with the calls and seconds it has left."""
        now = self._clock.now()
        return [ordered.remaining(now) for ordered in self._ordered if not ordered.over(now)]

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault that applies to a call, and count the call."""
        now = self._clock.now()
        for ordered in self._ordered:
            if not ordered.over(now) and ordered.fault.match.hits(method, path):
                if ordered.after:
                    ordered.after -= 1
                else:
                    return ordered.used(now)
        return None


class _Ordered:
    """Count what a fault has left."""

    def __init__(self, fault: Fault) -> None:
        self.fault, self.after, self._times = fault, fault.after, fault.times
        self._until: float | None = None

    def over(self, now: float) -> bool:
        return self._times == 0 or (self._until is not None and now >= self._until)

    def used(self, now: float) -> Fault:
        if self._times is not None:
            self._times -= 1
        if self._until is None and self.fault.for_s is not None:
            self._until = now + self.fault.for_s
        return self.fault

    def remaining(self, now: float) -> Fault:
        for_s = self.fault.for_s if self._until is None else self._until - now
        return msgspec.structs.replace(self.fault, after=self.after, times=self._times, for_s=for_s)

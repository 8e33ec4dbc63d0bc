"""Remember the current service and request, for every log line and outgoing call.

Traces follow W3C Trace Context, level 1: ``00-<32 hex trace id>-<16 hex span id>-<2 hex flags>``.
"""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final, final

import msgspec

_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")

_service: ContextVar[str] = ContextVar("tributary_service", default="")
_request_id: ContextVar[str] = ContextVar("tributary_request_id", default="")
_traceparent: ContextVar[str] = ContextVar("tributary_traceparent", default="")


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    trace_id: str
    span_id: str
    sampled: bool


def parse_traceparent(header: str | None) -> Trace | None:
    """Return the trace, None for anything the specification calls invalid.

    A later version is read as far as version 00 goes, as the specification asks.
    """
    found = _TRACEPARENT.fullmatch(header.strip()) if header and len(header) <= 256 else None
    if found is None or (found[4] and found[0].startswith("00")):
        return None
    return Trace(trace_id=found[1], span_id=found[2], sampled=bool(int(found[3], 16) & 1))


def new_traceparent(parent: str | None = None) -> str:
    """Return a new span: of the parent's trace if that is valid, else of a new, sampled trace."""
    trace = parse_traceparent(parent)
    trace_id, flags = (
        (trace.trace_id, f"{trace.sampled:02x}") if trace else (secrets.token_hex(16), "01")
    )
    return f"00-{trace_id}-{secrets.token_hex(8)}-{flags}"


def current_traceparent() -> str:
    """Return the current span for messages and calls; a new trace if none is bound."""
    return _traceparent.get() or new_traceparent()


def current_request_id() -> str:
    """Return the id of the current request, empty outside a request."""
    return _request_id.get()


def new_request_id() -> str:
    return secrets.token_hex(16)


def accepted_request_id(header: str | None) -> str:
    """Return the caller's id, or a new one if it is not acceptable.

    Acceptable are 1 to 128 characters of ``A-Z a-z 0-9 . _ : -``.
    """
    return header if header and _REQUEST_ID.fullmatch(header) else new_request_id()


def current_service() -> str:
    """Return the name of the current service, empty if none is bound."""
    return _service.get()


def bind_service(name: str) -> None:
    """Name the service on the log lines of this task and of the tasks it starts."""
    _service.set(name)


@final
class Bound:
    """A request that is in force already; as a context manager it also ends."""

    def __init__(self, request: Token[str], trace: Token[str]) -> None:
        self._request = request
        self._trace = trace

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _request_id.reset(self._request)
        _traceparent.reset(self._trace)


def bind_request(request_id: str, traceparent: str | None = None) -> Bound:
    """Bind a request: a new span of the caller's trace.

    Call it plainly in a task of its own, or in a ``with`` if it has to end.
    """
    return Bound(_request_id.set(request_id), _traceparent.set(new_traceparent(traceparent)))


def context_fields() -> dict[str, str]:
    """Return the fields that a log line carries of this, without those that are not bound."""
    trace = parse_traceparent(_traceparent.get())
    fields = {
        "service": _service.get(),
        "request_id": _request_id.get(),
        "trace_id": trace.trace_id if trace else "",
    }
    return {name: value for name, value in fields.items() if value}

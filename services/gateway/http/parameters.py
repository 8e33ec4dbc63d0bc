"""Read query parameters: only those that a route declares, page sizes and tokens, times.

A page token says where a listing continues. It is signed, and bound to the listing and its filters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from litestar import Request
from litestar.handlers import BaseRouteHandler

from shared.contracts.envelope import timestamp_of
from shared.crypto import BadToken, Signer
from shared.errors import BadRequest

T = TypeVar("T")
LARGEST_PAGE: Final = 200
# The grammar also permits lower case: https://www.rfc-editor.org/rfc/rfc3339#section-5.6
_RFC3339: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+ -]\d\d:\d\d)", re.ASCII | re.IGNORECASE
)
_NOT_QUERY: Final = frozenset(
    {
        "context",
        "request",
        "data",
        "state",
        "headers",
        "cookies",
        "body",
        "scope",
        "socket",
        "query",
    }
)


class PageTokens:
    """The page tokens of ``listing``, narrowed down by ``filters``."""

    def __init__(self, signer: Signer, listing: str, *filters: str | None) -> None:
        # Written as JSON, so that two lists of filters never look the same to the signer.
        self._signer, self._bound_to = signer, msgspec.json.encode((listing, *filters)).decode()

    def write(self, position: object) -> str:
        return self._signer.sign(msgspec.json.encode(position), self._bound_to)

    def read(self, token: str | None, kind: Any) -> Any:
        """Return the position in a token, as ``kind``; None without a token.

        Raises:
            BadToken: it was not issued for this listing and these filters.
        """
        if token is None:
            return None
        payload = self._signer.verify(token, self._bound_to)
        try:
            return msgspec.json.decode(payload, type=kind)
        except msgspec.DecodeError:
            raise BadToken(
                "This page token is from an older version. Start again without it."
            ) from None

    def next(
        self, found: Sequence[T], page_size: int, position: Callable[[T], object]
    ) -> str | None:
        """Return the token of the next page, if ``found`` has one row more than a page."""
        return self.write(position(found[page_size - 1])) if len(found) > page_size else None


def check_page_size(page_size: int) -> None:
    """Raise ``BadRequest`` for a page size out of range."""
    if not 1 <= page_size <= LARGEST_PAGE:
        raise BadRequest(
            f"`page_size` must be 1 to {LARGEST_PAGE}; {page_size} is not.", code="bad_page_size"
        )


def moment(name: str, text: str) -> str:
    """Return the RFC 3339 time in parameter ``name`` in the rows' own form, to compare with them.

    That form has milliseconds; what is finer is cut off. Raises ``BadRequest``.
    """
    if _RFC3339.fullmatch(text):
        with suppress(ValueError, OverflowError):
            # The plus sign of an offset arrives as a space unless it was percent-encoded.
            return timestamp_of(datetime.fromisoformat(text.upper().replace(" ", "+")))
    raise BadRequest(
        f"`{name}`: give a time like 2026-01-31T09:30:00Z (RFC 3339).", code="bad_time", field=name
    )


async def only_declared(request: Request[Any, Any, Any]) -> None:
    """Refuse undeclared query parameters: a ``before_request`` hook. Raise ``BadRequest``."""
    if request.method == "OPTIONS":  # the parameters belong to other methods
        return
    _check_text(request.scope["query_string"])
    declared = _declared(request.route_handler, request)
    sent = list(request.query_params.multi_items())
    given = [name for name, _ in sent]
    # A misspelt filter that is ignored would answer with everything.
    # The error repeats only a little of what was sent.
    unknown = sorted({name[:100] for name in given if name not in declared})
    if unknown:
        known = f"It takes: {', '.join(sorted(declared))}." if declared else "It takes none."
        raise BadRequest(
            f"No such query parameter: {', '.join(unknown[:5])}. {known}", code="unknown_parameter"
        )
    twice = sorted(name for name in declared if given.count(name) > 1)
    if twice:
        raise BadRequest(f"Sent more than once: {', '.join(twice)}.", code="repeated_parameter")
    if any("\0" in str(value) for name, value in sent if name != "q"):  # the search itself checks q
        raise BadRequest("A parameter contains a NUL character.", code="bad_query")


def _check_text(query: bytes) -> None:
    try:
        unquote_to_bytes(query).decode()
    except UnicodeDecodeError:
        raise BadRequest(
            "The query is not UTF-8. Send its text as UTF-8, percent-encoded.", code="bad_query"
        ) from None


def _declared(handler: BaseRouteHandler, request: Request[Any, Any, Any]) -> set[str]:
    return set(handler.parsed_fn_signature.parameters) - _NOT_QUERY - set(request.path_params)

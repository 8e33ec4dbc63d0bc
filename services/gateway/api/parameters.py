"""Nothing a client sends is ignored: a query parameter that is not declared, or comes twice, is an error."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_to_bytes

from litestar import Request
from litestar.handlers import BaseRouteHandler

from services.gateway.api.words import AnyRequest
from shared.errors import BadRequest

_NOT_QUERY = frozenset({"hub", "request", "data", "state", "headers", "cookies", "body", "scope", "socket", "query"})


async def only_declared(request: Request[Any, Any, Any]) -> None:
    """A ``before_request`` hook. Raises ``BadRequest``."""
    _check_text(request.scope["query_string"])
    declared = _declared(request.route_handler, request)
    sent = list(request.query_params.multi_items())
    given = [name for name, _ in sent]
    unknown = sorted({name[:100] for name in given if name not in declared})
    if unknown:
        known = f"It takes: {', '.join(sorted(declared))}." if declared else "It takes none."
        raise BadRequest(f"No such query parameter: {', '.join(unknown[:5])}. {known}", code="unknown_parameter")
    twice = sorted(name for name in declared if given.count(name) > 1)
    if twice:
        raise BadRequest(f"Given more than once: {', '.join(twice)}.", code="repeated_parameter")
    if any("\0" in str(value) for name, value in sent if name != "q"):  # q is checked by who searches
        raise BadRequest("A parameter has a zero character in it, which no name has.", code="bad_query")


def _check_text(query: bytes) -> None:
    try:
        unquote_to_bytes(query).decode()
    except UnicodeDecodeError:
        raise BadRequest("The query is not UTF-8. Send its text as UTF-8, percent-encoded.", code="bad_query") from None


def _declared(handler: BaseRouteHandler, request: AnyRequest) -> set[str]:
    return set(handler.parsed_fn_signature.parameters) - _NOT_QUERY - set(request.path_params)

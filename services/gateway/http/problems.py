"""Every error as its reader needs it: problem+json (RFC 9457), ``{"detail"}`` as the original had it, or a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

import msgspec
import structlog
from litestar import Response
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec

from services.gateway.http.pages import explain
from services.gateway.http.validation import AnyRequest, FieldError, field_error
from shared.errors import HubError
from shared.telemetry import current_request_id
from shared.transient import is_transient

ORIGINAL: Final = "/integrations/"
PROBLEM_JSON: Final = "application/problem+json"
_CODES: Final = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_encoding",
}
_WORDS: Final = {
    404: "There is nothing at this address. /docs lists what there is.",
    405: "This address does not take that method. /docs lists what it takes.",
    413: "The request is larger than 1 MiB, which is more than anything here needs.",
}
log = structlog.get_logger()


class ProblemDetails(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 9457, with a stable ``code`` for programs and the id to ask for in the logs."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: tuple[FieldError, ...] = ()


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """For a handler's ``responses``: the errors its callers have to expect, besides those that any request may get."""
    words = {
        400: "Something in the request is not known, not valid or out of range.",
        401: "An API key is needed, and none that is good was sent.",
        403: "The key's scope, or its organisation, is another than this needs.",
        404: "There is no such thing.",
        409: "It cannot be done as things stand; the detail says what to do first.",
        429: "Too many wrong keys came from there.",
        502: "The provider, or a resource of it, failed.",
        503: "A part of Tributary is away. Try again in a moment.",
    }
    return {
        status: ResponseSpec(
            data_container=ProblemDetails, media_type=PROBLEM_JSON, description=words[status], generate_examples=False
        )
        for status in sorted({400, 401, 403, 429, *statuses})
    }


def problem_json(status: int, *, code: str, detail: str, instance: str, errors: Sequence[FieldError] = ()) -> bytes:
    problem = ProblemDetails(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=instance,
        code=code,
        request_id=current_request_id(),
        errors=tuple(errors),
    )
    return msgspec.json.encode(problem)


def wants_page(request: AnyRequest) -> bool:
    """A browser asks for HTML by name; a program asks for JSON, or for anything."""
    return "text/html" in request.headers.get("accept", "")


def wants_json(request: AnyRequest) -> bool:
    return "application/json" in request.headers.get("accept", "") and not wants_page(request)


def answer(
    request: AnyRequest,
    status: int,
    *,
    code: str,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response[bytes]:
    path = request.url.path
    if path.startswith("/connect/") or path.endswith("/oauth2callback"):
        if not wants_json(request):
            return explain(status, detail, popup=True, headers=headers)
    elif wants_page(request) and not path.startswith((ORIGINAL, "/v1")):
        return explain(status, detail, headers=headers)
    body = problem_json(status, code=code, detail=detail, instance=path[:256], errors=errors)
    media = "application/json" if path.startswith(ORIGINAL) else PROBLEM_JSON
    return Response(body, status_code=status, media_type=media, headers=headers)


def on_hub_error(request: AnyRequest, error: HubError) -> Response[bytes]:
    return answer(request, error.status, code=error.code, detail=error.detail)


def on_http_exception(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """What the framework found wrong; its own words may quote the request, so only its list of fields is used."""
    status = error.status_code
    if status >= 500:
        return on_fault(request, error)
    errors = [field_error(one, request) for one in error.extra] if isinstance(error.extra, list) else []
    named = " ".join(one.detail for one in errors)
    if request.url.path.startswith(ORIGINAL):
        fallback = "The form could not be read. Send it as multipart/form-data or URL-encoded."
    else:
        fallback = "The request's body is not valid JSON. Send a JSON object in UTF-8; /docs shows its fields."
    detail = _WORDS.get(status) or named[:2000] or (fallback if status == 400 else error.detail)
    code = _CODES.get(status, "bad_request")
    return answer(request, status, code=code, detail=detail, errors=errors, headers=error.headers)


def on_recursion(request: AnyRequest, _: RecursionError) -> Response[bytes]:
    return answer(request, 400, code="too_deep", detail="The request is nested too deep to be read.")


def on_fault(request: AnyRequest, error: Exception) -> Response[bytes]:
    if is_transient(error):
        log.warning("database_away", path=request.url.path[:256], error=type(error).__name__)
        detail = "The database does not answer. Nothing was changed; try again in a moment."
        return answer(request, 503, code="unavailable", detail=detail, headers={"Retry-After": "1"})
    log.error("request_failed", path=request.url.path[:256], exc_info=error)
    detail = "Something went wrong here, and it was not the request. The request id finds it in the logs."
    return answer(request, 500, code="internal", detail=detail)

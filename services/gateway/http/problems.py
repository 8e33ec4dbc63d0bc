"""Errors in three forms: problem+json (RFC 9457), the original app's ``{"detail"}``, or a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import quote

import msgspec
import structlog
from litestar import Response
from litestar.exceptions import HTTPException
from msgspec import Meta

from services.gateway.http.error_codes import TITLES
from services.gateway.http.pages import explain, wants_json, wants_page
from services.gateway.http.validation import AnyRequest, FieldError, field_error
from shared.errors import TributaryError
from shared.telemetry import current_request_id
from shared.transient import is_transient

REQUEST_ID: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
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
    404: "There is nothing at this address. See /docs for what there is.",
    405: "This address does not accept that method. See /docs for those it does.",
    413: "The request is larger than the limit of 1 MiB.",
}
log = structlog.get_logger()


class ProblemDetails(msgspec.Struct, frozen=True, kw_only=True):
    """An error (RFC 9457)."""

    type: Annotated[
        str,
        Meta(
            description="Always `about:blank`; use `code` to tell errors apart.",
            examples=["about:blank"],
            extra_json_schema={"format": "uri-reference"},
        ),
    ] = "about:blank"
    title: Annotated[str, Meta(description="The status in words.", examples=["Bad Request"])]
    status: Annotated[int, Meta(description="The HTTP status.", examples=[400])]
    detail: Annotated[
        str,
        Meta(
            description="What is wrong and what to do, for people. The words may change.",
            examples=["`page_size` must be 1 to 200; 1000 is not."],
        ),
    ]
    instance: Annotated[
        str,
        Meta(
            description="The path of the request.",
            examples=["/v1/items"],
            extra_json_schema={"format": "uri-reference"},
        ),
    ]
    code: Annotated[str, Meta(description="A stable code for programs.", examples=["bad_request"])]
    request_id: Annotated[
        str,
        Meta(
            description="Finds the request in the logs; also sent as the header X-Request-Id.",
            examples=[REQUEST_ID],
        ),
    ]
    errors: Annotated[
        tuple[FieldError, ...],
        Meta(description="Each wrong field or parameter, if that is the error."),
    ] = ()


def problem_json(
    status: int, *, code: str, detail: str, instance: str, errors: Sequence[FieldError] = ()
) -> bytes:
    problem = ProblemDetails(
        title=TITLES.get(status) or HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        # It is a URI reference: https://www.rfc-editor.org/rfc/rfc9457#section-3.1.5
        instance=quote(instance),
        code=code,
        request_id=current_request_id(),
        errors=tuple(errors),
    )
    return msgspec.json.encode(problem)


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
    # Clients of the original app look for plain JSON with a `detail`.
    media = "application/json" if path.startswith(ORIGINAL) else PROBLEM_JSON
    return Response(body, status_code=status, media_type=media, headers=headers)


def on_tributary_error(request: AnyRequest, error: TributaryError) -> Response[bytes]:
    return answer(
        request,
        error.status,
        code=error.code,
        detail=error.detail,
        errors=() if error.field is None else (_at(error.field, error.detail, request),),
    )


def _at(field: str, detail: str, request: AnyRequest) -> FieldError:
    if field in request.query_params:
        return FieldError(detail=detail, parameter=field)
    return FieldError(detail=detail, pointer=f"/{field}")


def on_http_exception(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Answer an error of the framework.

    Its message may quote the request, so only its list of fields is used.
    """
    status = error.status_code
    if status >= 500:
        return on_fault(request, error)
    errors = (
        [field_error(one, request) for one in error.extra] if isinstance(error.extra, list) else []
    )
    named = " ".join(one.detail for one in errors)
    if request.url.path.startswith(ORIGINAL):
        fallback = "The form could not be read. Send it as multipart/form-data or URL-encoded."
    else:
        fallback = (
            "The request body is not valid JSON. Send a JSON object in UTF-8; /docs shows its "
            "fields."
        )
    detail = _WORDS.get(status) or named[:2000] or (fallback if status == 400 else error.detail)
    code = _CODES.get(status, "bad_request")
    return answer(request, status, code=code, detail=detail, errors=errors, headers=error.headers)


def on_recursion(request: AnyRequest, _: RecursionError) -> Response[bytes]:
    return answer(
        request, 400, code="too_deep", detail="The request is nested too deeply to be read."
    )


def on_fault(request: AnyRequest, error: Exception) -> Response[bytes]:
    if is_transient(error):
        log.warning("database_away", path=request.url.path[:256], error=type(error).__name__)
        detail = "The database does not answer. Nothing was changed; try again in a moment."
        return answer(request, 503, code="unavailable", detail=detail, headers={"Retry-After": "1"})
    log.error("request_failed", path=request.url.path[:256], exc_info=error)
    detail = "Something went wrong on our side. The request id finds it in the logs."
    return answer(request, 500, code="internal", detail=detail)

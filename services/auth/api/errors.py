"""Errors as ``{"code", "detail"}``, mapped once."""

from __future__ import annotations

from typing import Any, Final

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from shared.contracts.auth import ErrorBody
from shared.errors import HubError
from shared.transient import is_transient
from shared.web import error_body

log = structlog.get_logger()
_CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}


def _answer(status: int, code: str, detail: str) -> Response[ErrorBody]:
    return Response(ErrorBody(code=code, detail=detail), status_code=status, media_type="application/json")


def _not_understood(_: Request[Any, Any, Any], error: ValidationException) -> Response[ErrorBody]:
    """Names and reasons of the fields, never their values."""
    found = error.extra if isinstance(error.extra, list) else []
    fields = [f"{item.get('key', 'body')}: {item.get('message', '')}" for item in found if isinstance(item, dict)]
    return _answer(400, "bad_request", "; ".join(fields)[:500] or "The request does not have the expected shape.")


def _http_error(_: Request[Any, Any, Any], error: HTTPException) -> Response[ErrorBody]:
    status = error.status_code
    return _answer(status, _CODES.get(status, "bad_request" if status < 500 else "internal"), error.detail[:500])


def _too_deep(_: Request[Any, Any, Any], __: RecursionError) -> Response[ErrorBody]:
    return _answer(400, "bad_request", "The request is nested too deep.")


def _unforeseen(_: Request[Any, Any, Any], error: Exception) -> Response[ErrorBody]:
    if is_transient(error):
        log.warning("database_away", error=type(error).__name__)
        return _answer(503, "unavailable", "The database does not answer. Try again in a moment.")
    log.error("request_failed", exc_info=error)
    return _answer(500, "internal", "Something failed here. It is in the log; try again.")


def exception_handlers() -> dict[int | type[Exception], Any]:
    return {
        HubError: error_body,
        ValidationException: _not_understood,
        HTTPException: _http_error,
        RecursionError: _too_deep,
        Exception: _unforeseen,
    }

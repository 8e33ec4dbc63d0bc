"""Answer errors as ``{"detail": …}``, unless a provider's routes answer them in its own words."""

from __future__ import annotations

from typing import Any, Final

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from shared.errors import TributaryError

log = structlog.get_logger()


def _named(_: Request[Any, Any, Any], error: TributaryError) -> Response[dict[str, str]]:
    return Response({"detail": error.detail}, status_code=error.status)


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, str]]:
    detail = error.detail
    if error.status_code in {404, 405}:
        detail = (
            f"{request.method} {request.url.path} is not a call of the sandbox: GET /_sandbox "
            "lists them"
        )
    return Response({"detail": detail}, status_code=error.status_code, headers=error.headers)


def _broken(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, str]]:
    log.error("sandbox_failed", method=request.method, path=request.url.path, exc_info=error)
    return Response({"detail": "the sandbox itself failed: see its log"}, status_code=500)


EXCEPTIONS: Final[ExceptionHandlersMap] = {
    TributaryError: _named,
    HTTPException: _http,
    Exception: _broken,
}

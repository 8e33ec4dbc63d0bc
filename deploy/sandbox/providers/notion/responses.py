"""Build Notion's error answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import uuid4

import msgspec
from litestar import Response

from deploy.sandbox.providers.notion.values import Json

STATUSES: Final = {
    "unauthorized": 401,
    "invalid_client": 401,
    "restricted_resource": 403,
    "object_not_found": 404,
    "rate_limited": 429,
    "not_simulated": 501,
}


APIS: Final = frozenset({
    "blocks", "comments", "custom_emojis", "data_sources", "databases", "file_uploads", "oauth",
    "pages", "views",
})  # fmt: skip
"""The first parts of the paths that Notion's API has below ``/v1``, where it has more than here."""


class ErrorResponse(Exception):
    """Fail with a code of Notion's and a message in its style; the status follows from the code."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        extra: Json | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.extra, self.headers = code, message, extra, headers or {}


def invalid(message: str) -> ErrorResponse:
    return ErrorResponse("validation_error", message)


def not_simulated(what: str) -> ErrorResponse:
    message = f"Not simulated: {what}. The call may be right, but the sandbox lacks it."
    return ErrorResponse("not_simulated", message)


def unknown_call(method: str, path: str) -> ErrorResponse:
    """Return Notion's refusal of an unknown address, or a 501 for a call that Notion has."""
    version, _, rest = path.strip("/").partition("/")
    if version == "v1" and rest.partition("/")[0] in APIS:
        return not_simulated(f"{method} {path[:200]}")
    return ErrorResponse("invalid_request_url", "Invalid request URL.")


def refused(error: ErrorResponse) -> Response[bytes]:
    """Return an error as the answer to a call."""
    status, request_id = STATUSES.get(error.code, 400), str(uuid4())
    return Response(
        msgspec.json.encode(envelope(error, status, request_id)),
        status_code=status,
        headers={"x-notion-request-id": request_id, **error.headers},
        media_type="application/json",
    )


def only(body: Json, allowed: Iterable[str], where: str = "body") -> None:
    for name in body:
        if name not in allowed:
            raise invalid(
                f"body failed validation: {where}.{name[:60]} should be not present, instead was "
                "set."
            )


def envelope(error: ErrorResponse, status: int, request_id: str) -> Json:
    """Return Notion's error object, with ``error`` as well where OAuth has that name for it."""
    told: Json = {"object": "error", "status": status, "code": error.code, "message": error.message}
    if error.code in {
        "invalid_grant",
        "invalid_client",
        "invalid_request",
        "unsupported_grant_type",
    }:
        told |= {"error": error.code, "error_description": error.message}
    if error.extra:
        told["additional_data"] = error.extra
    return {**told, "request_id": request_id}

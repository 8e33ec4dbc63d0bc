"""Send HTTP requests to other servers, bounded in time and size, with typed failures."""

from shared.http.body import decode_json, strip_nul
from shared.http.client import BODY_CAP, HttpClient, HttpResponse
from shared.http.failures import (
    BadBody,
    BodyTooLarge,
    HttpError,
    MalformedBody,
    TooSlow,
    Unreachable,
)
from shared.http.wire import Deadline

__all__ = [
    "BODY_CAP",
    "BadBody",
    "BodyTooLarge",
    "Deadline",
    "HttpClient",
    "HttpError",
    "HttpResponse",
    "MalformedBody",
    "TooSlow",
    "Unreachable",
    "decode_json",
    "strip_nul",
]

"""Name what can go wrong between us and another HTTP server, apart from its status codes.

    HttpError
    ├── Unreachable       no complete answer: refused, reset, cut off; may work later
    │   └── TooSlow       not within the time of the request
    ├── BodyTooLarge      more bytes than the cap, counted after decompression
    └── BadBody           complete, but not what its headers say
        └── MalformedBody not the JSON it should be

Their texts hold no path or query of a URL, no header and no part of a body.
"""

from __future__ import annotations

from shared.errors import Upstream


class HttpError(Upstream):
    retriable = False


class Unreachable(HttpError):
    code = "unreachable"
    retriable = True


class TooSlow(Unreachable):
    code = "too_slow"


class BodyTooLarge(HttpError):
    code = "page_too_large"


class BadBody(HttpError):
    code = "bad_body"


class MalformedBody(BadBody):
    code = "malformed_page"

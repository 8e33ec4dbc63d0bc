"""What can go wrong between us and another HTTP server, its status codes apart.

    HttpError
    ├── Unreachable       no complete answer in time: refused, reset, cut off, too slow; the same call may work later
    ├── BodyTooLarge      more bytes than the cap, counted after decompression
    └── BadBody           complete, but not what its headers say
        └── MalformedBody not the JSON it should be

No text of these holds a URL's path or query, a header or a part of a body.
"""

from __future__ import annotations

from shared.errors import Upstream


class HttpError(Upstream):
    retriable = False


class Unreachable(HttpError):
    code = "unreachable"
    retriable = True


class BodyTooLarge(HttpError):
    code = "page_too_large"


class BadBody(HttpError):
    code = "bad_body"


class MalformedBody(BadBody):
    code = "malformed_page"

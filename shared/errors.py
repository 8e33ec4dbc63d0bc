"""Name what can go wrong, in the words of the API.

    TributaryError           anything a caller is told about: code, status, detail
    ├── BadRequest      400   the caller's input; says which field and why
    ├── Forbidden       403   a caller or origin that may not do this
    ├── NotFound        404   no such thing, or not yours
    ├── Conflict        409   the thing is in a state that forbids this
    ├── Upstream        502   the provider, or a resource of it, failed
    └── Unavailable     503   a part of ours is away; try again

A provider's failure while a page is loaded is not here: see ``shared.connector``.
"""

from __future__ import annotations

from typing import Final

LONGEST_ECHO: Final = 60
"""The most characters of a value that an error message repeats."""


class TributaryError(Exception):
    """An error that an API client is told about.

    ``code`` is stable snake_case for programs, ``status`` the HTTP status, and ``detail`` a
    sentence for people that never holds a secret or a provider's raw text. ``field`` names the
    parameter or field of the request that is wrong, if one is.
    """

    status = 500
    code = "internal"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        status: int | None = None,
        field: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.status = status or type(self).status
        self.field = field


class BadRequest(TributaryError):
    status = 400
    code = "bad_request"


class Forbidden(TributaryError):
    status = 403
    code = "forbidden"


class NotFound(TributaryError):
    status = 404
    code = "not_found"


class Conflict(TributaryError):
    status = 409
    code = "conflict"


class Upstream(TributaryError):
    status = 502
    code = "provider_failed"


class Unavailable(TributaryError):
    status = 503
    code = "unavailable"


def quoted(given: str) -> str:
    """Return what a caller sent as part of a sentence: short, and nothing in it invisible."""
    shown = "".join(filter(str.isprintable, given.replace("`", "")))
    return f"`{shown[:LONGEST_ECHO]}{'…' if len(shown) > LONGEST_ECHO else ''}`"

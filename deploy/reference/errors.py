"""``docs/reference/errors.md``: the codes that REST answers with, from the gateway's own table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from deploy.reference.source import table
from services.gateway.http.error_codes import ERROR_CODES, TITLES


def errors_page(_: str = "") -> str:
    return INTRODUCTION + table(("status", "code", "meaning", "example of `detail`"), rows())


def rows() -> Iterator[tuple[str, ...]]:
    """Yield a row for each code, by status."""
    for code, error in sorted(ERROR_CODES.items(), key=lambda pair: (pair[1].status, pair[0])):
        status = f"{error.status} {TITLES[error.status]}"
        yield status, f"`{code}`", error.meaning, error.detail.replace("|", "\\|")


INTRODUCTION: Final = """\
<!-- Written by make generate from services/gateway/http/error_codes.py. -->
# Error codes

Every error of the REST API is a JSON object as RFC 9457 describes it (`type`, `title`, `status`,
`detail`, `instance`), with two fields of ours, `code` and `request_id`. Act on `code`: it does not
change. `detail` is a sentence for people and may be reworded. The log lines of the request carry
its `request_id`. [openapi.json](../openapi.json) says which operation answers with which code.

Two answers belong to no operation: 405 `method_not_allowed`, in the same form, for a method that
an address does not have; and 400 in plain text, from the HTTP server itself, for bytes that are not
HTTP.

"""

"""Hold every error that a test gets to the contract: its operation declares the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import httpx
from litestar.routes import HTTPRoute

from services.gateway.app import bare_app
from services.gateway.http.error_codes import ERROR_CODES
from services.gateway.http.openapi import operations_of
from services.gateway.http.operations import Operation
from services.gateway.security.permissions import required_permission

PARAMETER = re.compile(r"\{[a-z_]+:([a-z]+)\}")
OF_SESSIONS = {"csrf"}
"""Only our own pages get these: the contract knows keys, and not the console's sessions."""


class Address(NamedTuple):
    """An operation, and the paths that lead to it."""

    pattern: re.Pattern[str]
    operation: Operation


def pattern(path: str) -> re.Pattern[str]:
    """Return what matches the paths of a route; only a parameter of the type path holds slashes."""
    found = ""
    for number, part in enumerate(PARAMETER.split(path)):
        if number % 2 == 0:
            found += re.escape(part)
        else:
            found += ".+" if part == "path" else "[^/]+"
    return re.compile(found)


@cache
def addresses() -> list[Address]:
    app = bare_app()
    patterns = {
        route.path_format: pattern(route.path)
        for route in app.routes
        if isinstance(route, HTTPRoute)
    }
    operations = operations_of(app, required_permission)
    return [Address(patterns[one.path], one) for one in operations]


def at(method: str, path: str) -> Iterator[Operation]:
    """Yield the operation that answers there, if the contract has one."""
    for address in addresses():
        if address.operation.method == method.lower() and address.pattern.fullmatch(path):
            yield address.operation


async def only_declared_errors(answer: httpx.Response) -> None:
    """Check an error: a hook on the responses of the tests' clients.

    Addresses that are no operation of the contract may answer with any error, and so may methods
    that an address does not have.
    """
    media = answer.headers.get("content-type", "").partition(";")[0]
    if answer.status_code < 400 or media not in {"application/problem+json", "application/json"}:
        return
    for operation in at(answer.request.method, answer.request.url.path):
        await answer.aread()
        code = answer.json()["code"]
        if code in OF_SESSIONS and "cookie" in answer.request.headers:
            continue
        handler = operation.handler.handler_name
        assert code in operation.error_codes, (
            f"{handler} answers with {code!r}, which its route does not declare: add it to "
            f"`errors=`. It said: {answer.text}"
        )
        assert answer.status_code == ERROR_CODES[code].status, (
            f"{handler} answers {code!r} with {answer.status_code}, and the table of codes says "
            f"{ERROR_CODES[code].status}"
        )

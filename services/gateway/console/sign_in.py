"""Signing in to the console with an API key, and out again."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import URLEncodedBody
from litestar.response import Redirect

from services.gateway.access import SIGN_IN, session_cookie, session_token
from services.gateway.connect import checked_return_url
from services.gateway.console.guard import same_origin
from services.gateway.console.pages import own_address
from services.gateway.console.render import AnyRequest, render
from services.gateway.hub import Hub, TheHub
from services.gateway.keys import TooManyFailures, Unauthorized, session_caller, sign_in, sign_out
from shared.errors import BadRequest

_WRONG = "This key opens nothing here: it is mistyped, expired or revoked."


class SignInForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str = ""
    next: str = "/"


@get(SIGN_IN, include_in_schema=False)
async def ask_for_key(request: AnyRequest, hub: TheHub) -> Response[Any]:
    back = _page(request.query_params.get("next", "/"), hub)
    if not hub.settings.keys_required or await _signed_in(request, hub):
        return Redirect(back, status_code=303)
    elsewhere = own_address(request, hub)
    return Redirect(elsewhere, status_code=302) if elsewhere else _asked(request, back)


@post(SIGN_IN, guards=[same_origin], include_in_schema=False)
async def take_key(request: AnyRequest, hub: TheHub, data: URLEncodedBody[SignInForm]) -> Response[Any]:
    """The browser gets another session than it may have had: nobody can have put one there that they know."""
    back = _page(data.next, hub)
    if not hub.settings.keys_required:
        return Redirect(back, status_code=303)
    try:
        token = await sign_in(
            data.key,
            replaces=session_token(request, hub.settings),
            address=_address(request),
            throttle=hub.throttle,
            database=hub.database,
        )
    except Unauthorized:
        return _asked(request, back, wrong=_WRONG, status=401)
    except TooManyFailures as failures:
        return _asked(request, back, wrong=failures.detail, status=429, headers=failures.headers)
    return _with_cookie(Redirect(back, status_code=303), session_cookie(token, hub.settings))


@post("/console/sign-out", guards=[same_origin], include_in_schema=False)
async def leave_session(request: AnyRequest, hub: TheHub) -> Response[Any]:
    token = session_token(request, hub.settings)
    if token:
        await sign_out(token, database=hub.database)
    return _with_cookie(Redirect(SIGN_IN, status_code=303), session_cookie("", hub.settings))


async def _signed_in(request: AnyRequest, hub: Hub) -> bool:
    token = session_token(request, hub.settings)
    if not token:
        return False
    caller = await session_caller(token, address=_address(request), throttle=hub.throttle, database=hub.database)
    return caller is not None


def _asked(
    request: AnyRequest, back: str, *, wrong: str | None = None, status: int = 200, headers: Any = None
) -> Response[bytes]:
    page = render("sign_in.html", request=request, status=status, back=back, wrong=wrong)
    page.headers.update(headers or {})
    return page


def _page(wanted: str, hub: Hub) -> str:
    """A page of ours to come back to; the first one for anything else."""
    try:
        return checked_return_url(wanted, own=hub.settings.public_url, allowed_origins=(), served=hub.served) or "/"
    except BadRequest:
        return "/"


def _with_cookie(answer: Response[Any], cookie: str) -> Response[Any]:
    answer.headers["set-cookie"] = cookie
    return answer


def _address(request: AnyRequest) -> str | None:
    return request.client.host if request.client else None

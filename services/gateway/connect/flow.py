"""Connect and disconnect. Auth decides, and the gateway writes its answer through."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from services.gateway.connections import queries as connections
from services.gateway.context import GatewayContext
from services.gateway.http.return_url import checked_return_url
from services.gateway.project import apply_connection
from services.gateway.store import READ_MODEL
from shared.contracts.auth import Callback, CallbackResult, ErrorBody, Flow, StartFlow
from shared.contracts.connections import Connection
from shared.errors import BadRequest, NotFound, TributaryError
from shared.settings import configured_for

_PLAIN: Final = "flow_"
_HOST_ONLY: Final = "__Host-flow_"
# It becomes part of a cookie's name, so it may hold no other character.
_FLOW_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
# Anybody can call the callback with texts of any length. Codes and states are much shorter.
LONGEST_PARAMETER: Final = 4_096


async def start_connect(
    *,
    provider: str,
    org_id: str,
    user_id: str,
    return_url: str | None = None,
    context: GatewayContext,
) -> Flow:
    """Start a flow. Its ``authorize_url`` is our own short link, which is valid for ten minutes.

    Raises ``BadRequest`` for an unknown provider, an empty name or a return URL that we may not
    redirect to, and ``Forbidden`` when the organisation is not the caller's.
    """
    configured_for(provider, context.settings.providers, field="provider")
    context.check_org(org_id)
    if "\0" in org_id + user_id:
        raise BadRequest("org_id and user_id must be plain text.", code="bad_name")
    wanted = StartFlow(
        provider=provider,
        org_id=org_id,
        user_id=user_id,
        return_url=None if return_url is None else _checked(return_url, context),
    )
    flow = await context.auth.start_flow(wanted)
    async with context.database.write() as db:
        await connections.add_flow(db, flow)
    return flow


def _checked(return_url: str, context: GatewayContext) -> str:
    """Raise ``BadRequest`` for a URL that we may not send a browser to."""
    settings = context.settings
    return checked_return_url(
        return_url,
        own=settings.public_url,
        allowed_origins=settings.allowed_origins,
        served=context.served,
    )


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """The URL to redirect to, and the ``Set-Cookie`` that binds the flow to the browser."""

    url: str
    cookie: str


async def open_connect(flow_id: str, *, context: GatewayContext) -> Opened:
    """Open a flow's short link in this browser.

    Raises ``NotFound``, or ``TributaryError`` with status 410 when the link was already used or has
    expired.
    """
    if not _FLOW_ID.fullmatch(flow_id):
        raise NotFound("There is no such connect link. Start connecting again.")
    opened = await context.auth.open_flow(flow_id)
    cookie = _set_cookie(context, flow_id, opened.cookie, max_age_s=opened.max_age_s)
    return Opened(url=opened.authorize_url, cookie=cookie)


def dropped_cookie(flow_id: str, *, context: GatewayContext) -> str:
    """Return the ``Set-Cookie`` that removes a flow's cookie."""
    return _set_cookie(context, flow_id, "", max_age_s=0)


def flow_cookies(cookies: Mapping[str, str]) -> dict[str, str]:
    """Return flow id → cookie value for the flow cookies of a request."""
    found = {}
    for name, value in cookies.items():
        for prefix in (_PLAIN, _HOST_ONLY):
            if name.startswith(prefix) and _FLOW_ID.fullmatch(name[len(prefix) :]):
                found[name[len(prefix) :]] = value
    return found


def _set_cookie(context: GatewayContext, flow_id: str, value: str, *, max_age_s: int) -> str:
    """Return the ``Set-Cookie`` of a flow.

    Lax, because browsers do not send Strict cookies when the provider redirects back; Secure where
    the public URL is https. Some browsers reject ``__Host-`` cookies over plain HTTP, even on
    localhost.
    """
    secure = context.settings.public_url.startswith("https://")
    name = f"{_HOST_ONLY if secure else _PLAIN}{flow_id}"
    cookie = f"{name}={value}; HttpOnly; Max-Age={max_age_s}; Path=/; SameSite=Lax"
    return f"{cookie}; Secure" if secure else cookie


async def read_flow(flow_id: str, *, context: GatewayContext) -> Flow:
    """Return the flow.

    Raise ``NotFound`` alike for a foreign flow and for one that never existed.
    """
    if context.org is None:
        return await context.auth.flow(flow_id)
    try:
        flow = await context.auth.flow(flow_id)
    except TributaryError as error:
        if error.status not in {404, 410}:
            raise
        flow = None
    if flow is None or flow.org_id != context.org:
        raise NotFound(
            "There is no such connect link; links are forgotten after a day. Start "
            "connecting again."
        )
    return flow


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a flow: either ``connection`` or ``error`` is set.

    ``return_url`` already carries the flow's id, and nothing else is added. A browser that comes
    back once more gets an ``error`` with a ``flow`` that is connected, or still pending.
    """

    flow: Flow | None = None
    connection: Connection | None = None
    error: ErrorBody | None = None
    return_url: str | None = None
    cookie: str | None = None


async def finish_connect(
    provider: str, *, params: Mapping[str, str], cookies: Mapping[str, str], context: GatewayContext
) -> Finished:
    """Finish a consent, and save the connection and its first sync in the gateway's tables.

    Clients read their own writes: the rows are committed before this returns. Raises
    ``Unavailable`` when auth does not answer. What a browser or a provider did wrong comes back as
    ``error``.
    """
    configured = configured_for(provider, context.settings.providers)
    cut = {name[:LONGEST_PARAMETER]: value[:LONGEST_PARAMETER] for name, value in params.items()}
    result = await context.auth.finish_flow(
        Callback(provider=provider, params=cut, cookies=flow_cookies(cookies))
    )
    # The topic brings the same snapshot soon, but the next page may ask for it before that.
    async with context.database.write(lock=READ_MODEL) as db:
        if result.connection is not None:
            await apply_connection(db, result.connection, provider=configured.provider)
        if result.flow is not None and result.flow.status != "pending":
            # After a failure too: whoever waits for this consent must not wait any longer.
            await connections.forget_flow(db, result.flow.flow_id)
    context.watch.changed()
    return _finished(result, context)


def _finished(result: CallbackResult, context: GatewayContext) -> Finished:
    flow = result.flow
    # The cookie of a flow that has not failed stays as long as it lives: a reload of the last page
    # then says how it went.
    failed = flow is not None and flow.status == "failed"
    return Finished(
        flow=flow,
        connection=result.connection,
        error=result.error,
        return_url=with_flow(flow.return_url, flow.flow_id) if flow and flow.return_url else None,
        cookie=dropped_cookie(flow.flow_id, context=context) if flow and failed else None,
    )


def with_flow(url: str, flow_id: str) -> str:
    """Return ``url`` with ``flow_id`` added to its query."""
    parts = urlsplit(url)
    query = "&".join(filter(None, [parts.query, urlencode({"flow_id": flow_id})]))
    return urlunsplit(parts._replace(query=query))


async def disconnect(connection_id: str, *, context: GatewayContext) -> Connection:
    """Disconnect an account. Repeating it gives the same answer. Raises ``NotFound``."""
    # Checked here, because auth disconnects whatever it is asked to.
    if context.org is not None:
        async with context.database.read() as db:
            if await connections.get(db, connection_id, org=context.org) is None:
                raise connections.unknown()
    snapshot = await context.auth.disconnect(connection_id)
    configured = context.settings.providers.get(snapshot.provider)
    async with context.database.write(lock=READ_MODEL) as db:
        await apply_connection(db, snapshot, provider=configured.provider if configured else None)
    context.watch.changed()
    return snapshot

"""Routes for syncs: request one, get its progress, follow it as a stream of server-sent events."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Final, Literal, final
from urllib.parse import unquote

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath, HeaderParameter, JSONBody
from litestar.types import ASGIApp, HTTPResponseBodyEvent, Receive, Scope, Send
from msgspec import Meta

from services.gateway.context import POLL_S, GatewayContext, InjectedContext
from services.gateway.http.fields import KnownResource
from services.gateway.http.operations import Answer, Link
from services.gateway.http.validation import AnyRequest
from services.gateway.security.guard import still_authorized
from services.gateway.syncs.describe import (
    SyncView,
    describe_sync,
    newest_event,
    progress_since,
    resource_states,
)
from services.gateway.syncs.parts import PartOrder, confirm_deletions, remove_part
from services.gateway.syncs.queries import Progress
from services.gateway.syncs.request import request_sync
from services.gateway.syncs.retry import retry_sync
from shared.contracts.progress import FINAL
from shared.contracts.vocabulary import ConnectionId, PartId, ResourceSlug, SyncId
from shared.errors import BadRequest

TAGS: Final = ["Syncs"]
PAUSE_S: Final = 0.25
"""Seconds between two looks that found something: at most four events a second per resource."""
# Proxies drop connections that stay silent; the standard suggests about 15 seconds.
# https://html.spec.whatwg.org/multipage/server-sent-events.html#authoring-notes
COMMENT_S: Final = 15.0
# Eighteen digits always fit into the database's 64 bits.
_EVENT_ID: Final = re.compile(r"[0-9]{1,18}")
_START: Final = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        # nginx would hold events back until its buffer is full.
        # https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
        (b"x-accel-buffering", b"no"),
    ],
}
_END: Final[HTTPResponseBodyEvent] = {"type": "http.response.body", "body": b"", "more_body": False}
Allowed = Callable[[], Awaitable[bool]]
LastEventId = Annotated[
    str,
    Meta(
        description="Resume after the event with this id.",
        examples=["7"],
        extra_json_schema={"pattern": "^[0-9]{1,18}$"},
    ),
]


class SyncEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the stream.

    ``progress`` carries a ResourceState whenever one changes. ``done`` carries the whole SyncView
    once all of its items can be read, and ends the stream.
    """

    event: Annotated[
        Literal["progress", "done"], Meta(description="What `data` is.", examples=["progress"])
    ]
    id: Annotated[
        str,
        Meta(
            description="The id to send as Last-Event-ID to resume after this event.",
            examples=["7"],
        ),
    ]
    data: Annotated[
        str,
        Meta(
            description="A ResourceState or a SyncView, as JSON.",
            examples=['{"resource": "pages", "state": "running", "pages": 12, "items": 1180}'],
            extra_json_schema={"contentMediaType": "application/json"},
        ),
    ]


class StartSync(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The resources to sync, and how."""

    mode: Annotated[
        str | None,
        Meta(
            description="`full`, the only mode so far, reads every object again.",
            examples=["full"],
            extra_json_schema={"enum": ["full"]},
        ),
    ] = None
    resources: Annotated[
        Annotated[list[KnownResource], Meta(min_length=1)] | None,
        Meta(description="The resources to sync; without it, all that the provider has."),
    ] = None
    background: Annotated[
        bool,
        Meta(
            description="True if nobody waits for it: everything else goes first. The default is "
            "false.",
            examples=[False],
        ),
    ] = False


_PART: Final = "/connections/{connection_id:str}/resources/{resource:str}/parts/{part:str}"
_OF_AN_ORDER: Final = (
    Link(
        "get_connection",
        "Get the connection.",
        {"connection_id": "$response.body#/connection_id"},
    ),
    Link(
        "get_items",
        "List the items of the resource.",
        {
            "connection_id": "$response.body#/connection_id",
            "resource": "$response.body#/resource",
        },
    ),
)


@post(
    f"{_PART}/confirm-deletions",
    status_code=202,
    tags=TAGS,
    summary="Confirm deletions that are held",
    response_description="The order; the items go within seconds.",
    errors=("unknown_part", "disconnected"),
    links=_OF_AN_ORDER,
)
async def post_confirm_deletions(
    connection_id: FromPath[ConnectionId],
    resource: FromPath[ResourceSlug],
    part: FromPath[PartId],
    context: InjectedContext,
) -> PartOrder:
    """Delete the items of a part that are held because there are so many of them.

    A receipt names such parts in `held`. Percent-encode the part's id: it may contain slashes.
    """
    return await confirm_deletions(connection_id, resource, unquote(part), context=context)


@delete(
    _PART,
    status_code=202,
    tags=TAGS,
    summary="Remove a part that cannot be read",
    response_description="The order; the items go within seconds.",
    errors=("unknown_part", "disconnected"),
    links=_OF_AN_ORDER,
)
async def delete_part(
    connection_id: FromPath[ConnectionId],
    resource: FromPath[ResourceSlug],
    part: FromPath[PartId],
    context: InjectedContext,
) -> PartOrder:
    """Delete all items of a part that was not read whole.

    A receipt names such parts in `parts.named`. They come back if a later sync can read the part.
    Percent-encode the part's id: it may contain slashes.
    """
    return await remove_part(connection_id, resource, unquote(part), context=context)


@post(
    "/connections/{connection_id:str}/syncs",
    status_code=202,
    tags=TAGS,
    summary="Sync a connection",
    response_description="The sync, running or about to.",
    headers={"Location": "The address of its progress."},
    errors=("unknown_mode", "unknown_resource", "disconnected", "reauth_required"),
    links=(
        Link("get_sync", "Get its progress.", {"sync_id": "$response.body#/id"}),
        Link("get_events", "Follow its progress as a stream.", {"sync_id": "$response.body#/id"}),
        Link("post_retry", "Try now what it waits for.", {"sync_id": "$response.body#/id"}),
    ),
)
async def post_sync(
    connection_id: FromPath[ConnectionId],
    context: InjectedContext,
    data: JSONBody[StartSync | None] = None,
) -> Response[SyncView]:
    """Request a sync. The answer comes once the request is stored durably.

    Work that is already running or waiting is joined, not repeated. What waits is tried at once,
    unless the provider asked for the wait.
    """
    asked = data or StartSync()
    sync = await request_sync(
        connection_id,
        mode=asked.mode,
        resources=asked.resources,
        background=asked.background,
        context=context,
    )
    shown = await describe_sync(sync.id, context=context)
    return Response(shown, status_code=202, headers={"location": f"/v1/syncs/{sync.id}"})


@get(
    "/syncs/{sync_id:str}",
    tags=TAGS,
    summary="Get a sync",
    response_description="The progress of the sync.",
    links=(
        Link("get_events", "Follow it as a stream.", {"sync_id": "$response.body#/id"}),
        Link("post_retry", "Try now what it waits for.", {"sync_id": "$response.body#/id"}),
        Link(
            "get_connection",
            "Get its connection.",
            {"connection_id": "$response.body#/connection_id"},
        ),
        Link("get_items", "List its items.", {"connection_id": "$response.body#/connection_id"}),
    ),
)
async def get_sync(sync_id: FromPath[SyncId], context: InjectedContext) -> SyncView:
    """Return a sync, resource by resource. It ends only when all of its items can be read."""
    return await describe_sync(sync_id, context=context)


@post(
    "/syncs/{sync_id:str}/retry",
    status_code=202,
    tags=TAGS,
    summary="Retry a sync that waits",
    response_description="The sync; what waited goes on within seconds.",
    errors=("not_waiting", "asked_to_wait"),
    links=(Link("get_sync", "Get its progress.", {"sync_id": "$response.body#/id"}),),
)
async def post_retry(sync_id: FromPath[SyncId], context: InjectedContext) -> SyncView:
    """Try now what the sync waits for, instead of at `waiting_until`.

    A wait that the provider itself has asked for is never cut short: `asked_to_wait_until` is its
    end.
    """
    await retry_sync(sync_id, context=context)
    return await describe_sync(sync_id, context=context)


@get(
    "/syncs/{sync_id:str}/events",
    tags=TAGS,
    summary="Follow a sync",
    media_type="text/plain",
    errors=("bad_event_id",),
    answers={200: Answer("A stream of events.", {"text/event-stream": SyncEvent})},
)
async def get_events(
    sync_id: FromPath[SyncId],
    request: AnyRequest,
    context: InjectedContext,
    last_event_id: Annotated[LastEventId | None, HeaderParameter(name="Last-Event-ID")] = None,
) -> ASGIApp:
    """Stream a sync's progress as server-sent events, with a comment every 15 s.

    The stream ends after `done`.
    """
    # Errors must come before the stream starts: after that the status has been sent.
    newest = await newest_event(sync_id, context=context)
    if last_event_id is not None and not _EVENT_ID.fullmatch(last_event_id):
        raise BadRequest(
            "Last-Event-ID must be the id of an event of this stream.", code="bad_event_id"
        )
    seen = int(last_event_id or 0)
    return EventStream(
        sync_id,
        after=seen if seen <= newest else 0,
        context=context,
        allowed=lambda: still_authorized(request, context),
    )


@final
class EventStream:
    """An ASGI response that stops running once its reader is gone.

    It also ends, without ``done``, once the reader is no longer ``allowed``, which is checked every
    ``comment_s``.
    """

    def __init__(
        self,
        sync_id: str,
        *,
        after: int,
        context: GatewayContext,
        comment_s: float = COMMENT_S,
        allowed: Allowed | None = None,
    ) -> None:
        self._sync, self._after, self._context, self._comment_s = sync_id, after, context, comment_s
        self._allowed = allowed
        self._spoke = time.monotonic()

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        await send(_START)  # type: ignore[arg-type]  # a plain dict is what ASGI asks for
        watching = asyncio.create_task(self._forbidden())
        tasks = {
            asyncio.create_task(self._write(send)),
            asyncio.create_task(_gone(receive)),
            watching,
        }
        try:
            finished, _pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in finished:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        # The writer has ended its stream itself, and a reader who is gone needs no end.
        if finished == {watching}:
            await send(_END)

    async def _write(self, send: Send) -> None:
        await self._say(send, "retry: 2000\n\n")
        while True:
            # A transaction for each look: a long stream must not keep a database connection.
            shown, news = await progress_since(self._sync, self._after, context=self._context)
            if news:
                self._after = news[-1].revision
                await self._say(send, "".join(_events(news)))
            if shown.state in FINAL:
                await self._say(send, _event("done", self._after, shown))
                await send(_END)
                return
            if news:
                await asyncio.sleep(PAUSE_S)
                continue
            await self._context.watch.wait(min(POLL_S, self._comment_s))
            if time.monotonic() - self._spoke >= self._comment_s:
                await self._say(send, ": still here\n\n")

    async def _forbidden(self) -> None:
        """Return once the reader is no longer allowed to read."""
        while True:
            await asyncio.sleep(self._comment_s)
            if self._allowed is not None and not await self._allowed():
                return

    async def _say(self, send: Send, text: str) -> None:
        self._spoke = time.monotonic()
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


def _events(news: Iterable[Progress]) -> Iterable[str]:
    for one in news:
        (state,) = resource_states([one]).values()
        yield _event("progress", one.revision, state)


def _event(kind: str, id_: int, body: msgspec.Struct | SyncView) -> str:
    """Return one event. JSON contains no bare line ends, so one ``data`` line holds it."""
    return f"event: {kind}\nid: {id_}\ndata: {msgspec.json.encode(body).decode()}\n\n"


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


ROUTES: Final = (
    post_sync,
    get_sync,
    get_events,
    post_retry,
    post_confirm_deletions,
    delete_part,
)

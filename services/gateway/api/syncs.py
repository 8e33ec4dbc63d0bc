"""Loads of a connection: ask for one, see how far it has come."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, JSONBody

from services.gateway.api.problems import problems
from services.gateway.hub import TheHub
from services.gateway.sync import SyncView, describe_sync, request_sync

TAGS = ["Loading"]


class StartSync(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``resources`` absent means all of them. ``background``: nobody waits for it, everything else goes first."""

    mode: Annotated[str | None, msgspec.Meta(examples=["full"])] = None
    resources: Annotated[list[str] | None, msgspec.Meta(description="Slugs of /v1/providers.")] = None
    background: bool = False


@post(
    "/connections/{connection_id:str}/syncs",
    status_code=202,
    tags=TAGS,
    summary="Load a connection again",
    responses=problems(404, 409),
)
async def post_sync(
    connection_id: FromPath[str], hub: TheHub, data: JSONBody[StartSync | None] = None
) -> Response[SyncView]:
    """Answered once the request is kept for good; work that already runs or waits is joined, not doubled."""
    asked = data or StartSync()
    sync = await request_sync(
        connection_id, mode=asked.mode, resources=asked.resources, background=asked.background, hub=hub
    )
    shown = await describe_sync(sync.id, hub=hub)
    return Response(shown, status_code=202, headers={"location": f"/v1/syncs/{sync.id}"})


@get("/syncs/{sync_id:str}", tags=TAGS, summary="How far a load has come", responses=problems(404))
async def get_sync(sync_id: FromPath[str], hub: TheHub) -> SyncView:
    return await describe_sync(sync_id, hub=hub)

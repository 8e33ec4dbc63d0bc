"""A strict stand-in for Notion: its OAuth and its data API of 2025-09-03, below one path."""

from __future__ import annotations

from litestar.handlers import HTTPRouteHandler

from shared.providers.notion.sandbox.content import content_routes
from shared.providers.notion.sandbox.oauth import oauth_routes
from shared.providers.notion.sandbox.rows import NotionWorkspace
from shared.sandbox import Simulated, World

SIMULATED: Simulated = NotionWorkspace()


def routes(world: World) -> list[HTTPRouteHandler]:
    return [*oauth_routes(world), *content_routes(world)]

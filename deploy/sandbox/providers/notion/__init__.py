"""Simulate Notion strictly: its OAuth and its data API of 2025-09-03, below one path."""

from __future__ import annotations

from typing import Final

from litestar.handlers import HTTPRouteHandler

from deploy.sandbox.providers.notion.content import content_routes
from deploy.sandbox.providers.notion.files import file_routes
from deploy.sandbox.providers.notion.oauth import oauth_routes
from deploy.sandbox.providers.notion.rows import SimulatedNotion
from deploy.sandbox.providers.notion.web import web_routes
from deploy.sandbox.world import Simulated, World

SIMULATED: Final[Simulated] = SimulatedNotion()
SCOPES: Final[frozenset[str]] = frozenset()
"""Notion has no scopes: an app's capabilities are set on its settings page."""


def routes(world: World) -> list[HTTPRouteHandler]:
    return [*oauth_routes(world), *content_routes(world), *file_routes(world), *web_routes(world)]

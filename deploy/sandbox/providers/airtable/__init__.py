"""Simulate Airtable strictly: its paths, rules and answers, over accounts made from a seed."""

from __future__ import annotations

from typing import Final

from litestar.handlers import HTTPRouteHandler

from deploy.sandbox.providers.airtable.authorize import SCOPES, authorize_routes
from deploy.sandbox.providers.airtable.data import SimulatedAirtable
from deploy.sandbox.providers.airtable.files import file_routes
from deploy.sandbox.providers.airtable.meta import meta_routes
from deploy.sandbox.providers.airtable.records import record_routes
from deploy.sandbox.providers.airtable.token import token_routes
from deploy.sandbox.providers.airtable.web import web_routes
from deploy.sandbox.providers.airtable.writes import write_routes
from deploy.sandbox.world import Simulated, World

__all__ = ["SCOPES", "SIMULATED", "routes"]

SIMULATED: Final[Simulated] = SimulatedAirtable()


def routes(world: World) -> list[HTTPRouteHandler]:
    """Return the handlers below the provider's root."""
    return [
        *authorize_routes(world),
        *token_routes(world),
        *meta_routes(world),
        *record_routes(world),
        *write_routes(world),
        *file_routes(world),
        *web_routes(world),
    ]

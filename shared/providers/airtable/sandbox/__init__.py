"""A strict stand-in for Airtable: its paths, rules and answers, over accounts made from a seed."""

from __future__ import annotations

from litestar.handlers import HTTPRouteHandler

from shared.providers.airtable.sandbox.authorize import authorize_routes
from shared.providers.airtable.sandbox.data import SimulatedAirtable
from shared.providers.airtable.sandbox.meta import meta_routes
from shared.providers.airtable.sandbox.records import record_routes
from shared.providers.airtable.sandbox.token import token_routes
from shared.providers.airtable.sandbox.writes import write_routes
from shared.sandbox import Simulated, World

SIMULATED: Simulated = SimulatedAirtable()


def routes(world: World) -> list[HTTPRouteHandler]:
    """Handlers below the provider's root, to be mounted under its slug."""
    return [
        *authorize_routes(world),
        *token_routes(world),
        *meta_routes(world),
        *record_routes(world),
        *write_routes(world),
    ]

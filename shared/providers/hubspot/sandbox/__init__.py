"""HubSpot's stand-in: OAuth, account details, properties, owners, objects; both families of paths."""

from __future__ import annotations

from typing import Any

from litestar import Router
from litestar.types import ControllerRouterHandler

from shared.providers.hubspot.sandbox.account import account_routes
from shared.providers.hubspot.sandbox.answers import Refused, refused
from shared.providers.hubspot.sandbox.consent import consent_routes
from shared.providers.hubspot.sandbox.data import SIMULATED
from shared.providers.hubspot.sandbox.grants import grant_routes
from shared.providers.hubspot.sandbox.objects import object_routes
from shared.providers.hubspot.sandbox.search import search_routes
from shared.providers.hubspot.sandbox.tokens import token_routes
from shared.sandbox import World

__all__ = ["SIMULATED", "routes"]


def routes(world: World) -> list[ControllerRouterHandler]:
    """Everything below the provider's root."""
    handlers: list[Any] = [
        *consent_routes(world),
        *token_routes(world),
        *grant_routes(world),
        *account_routes(world),
        *object_routes(world),
        *search_routes(world),
    ]
    return [Router(path="/", route_handlers=handlers, exception_handlers={Refused: refused})]

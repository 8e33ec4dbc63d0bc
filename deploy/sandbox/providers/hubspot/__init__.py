"""Simulate HubSpot: OAuth, account details, properties, owners and objects, in both path styles."""

from __future__ import annotations

from typing import Any

from litestar import Router
from litestar.types import ControllerRouterHandler

from deploy.sandbox.providers.hubspot.account import account_routes
from deploy.sandbox.providers.hubspot.catalogue import SCOPES
from deploy.sandbox.providers.hubspot.consent import consent_routes
from deploy.sandbox.providers.hubspot.data import SIMULATED
from deploy.sandbox.providers.hubspot.grants import grant_routes
from deploy.sandbox.providers.hubspot.objects import object_routes
from deploy.sandbox.providers.hubspot.responses import ErrorResponse, error_response
from deploy.sandbox.providers.hubspot.search import search_routes
from deploy.sandbox.providers.hubspot.tokens import token_routes
from deploy.sandbox.providers.hubspot.web import web_routes
from deploy.sandbox.world import World

__all__ = ["SCOPES", "SIMULATED", "routes"]


def routes(world: World) -> list[ControllerRouterHandler]:
    """Return the handlers below the provider's root."""
    handlers: list[Any] = [
        *consent_routes(world),
        *token_routes(world),
        *grant_routes(world),
        *account_routes(world),
        *object_routes(world),
        *search_routes(world),
        *web_routes(world),
    ]
    return [
        Router(
            path="/", route_handlers=handlers, exception_handlers={ErrorResponse: error_response}
        )
    ]

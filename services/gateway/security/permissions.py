"""The permission that each route requires, in one table.

A route that is not in it requires the most. These are public: what a provider or a customer's
browser opens without a key (the short link and the callback are bound to one browser by a cookie,
and to one consent by a state that works once); the documentation; health, which says nothing about
anybody's data; the sign-in page; and the theme.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from services.gateway.security.queries import KeyScope

Permission = Literal["public"] | KeyScope

PART: Final = "/v1/connections/{connection_id}/resources/{resource}/parts/{part}"
PERMISSIONS: Final[Mapping[str, Permission]] = {
    "GET /health/live": "public",
    "GET /health/ready": "public",
    "GET /docs": "public",
    "GET /schema": "public",
    "GET /schema/openapi.json": "public",
    "GET /events": "public",
    "GET /events/asyncapi.json": "public",
    "GET /favicon.ico": "public",
    "GET /connect/{flow_id}": "public",
    "GET /integrations/{provider}/oauth2callback": "public",
    "GET /console/static/{name}": "public",
    "GET /console/sign-in": "public",
    "POST /console/sign-in": "public",
    "POST /console/theme": "public",
    "GET /v1": "read",
    "GET /v1/version": "read",
    "GET /v1/providers": "read",
    "GET /v1/connect/{flow_id}": "read",
    "GET /v1/connections": "read",
    "GET /v1/connections/{connection_id}": "read",
    "GET /v1/syncs/{sync_id}": "read",
    "GET /v1/syncs/{sync_id}/events": "read",
    "GET /v1/items": "read",
    "GET /v1/items/{connection_id}/{resource}/{item_id}": "read",
    "POST /v1/connect": "write",
    "POST /v1/connections/{connection_id}/syncs": "write",
    "DELETE /v1/connections/{connection_id}": "write",
    "POST /v1/syncs/{sync_id}/retry": "write",
    "POST /v1/items/refetch": "write",
    f"POST {PART}/confirm-deletions": "write",
    f"DELETE {PART}": "write",
    "GET /v1/keys": "admin",
    "POST /v1/keys": "admin",
    "DELETE /v1/keys/{prefix}": "admin",
    "GET /v1/dead-letters": "admin",
    "GET /v1/dead-letters/{dead_letter_id}": "admin",
    "POST /v1/dead-letters/{dead_letter_id}/replay": "admin",
    "POST /integrations/{provider}/credentials": "read",
    "POST /integrations/{provider}/authorize": "write",
    "POST /integrations/{provider}/load": "write",
    "GET /": "read",
    "GET /console/cards": "read",
    "GET /console/items": "read",
    "GET /console/items/{connection}/{resource}/{id_}": "read",
    "POST /console/sign-out": "read",
    "GET /console/connections/{id_}/disconnect": "write",
    "GET /console/connect/{flow_id}": "write",
    "POST /console/connect": "write",
    "POST /console/connections/{id_}/sync": "write",
    "POST /console/connections/{id_}/disconnect": "write",
    "POST /console/connections/{id_}/parts": "write",
    "POST /console/connections/{id_}/retry": "write",
    "GET /metrics": "admin",
}


def required_permission(method: str, template: str) -> Permission:
    """Return the permission for a route, whose ``template`` is the path with its parameters' names.

    OPTIONS only lists methods, so it is public everywhere.
    """
    return "public" if method == "OPTIONS" else PERMISSIONS.get(f"{method} {template}", "admin")

"""The doors of auth: each parses, calls one verb, answers. Paths and shapes are in ``shared.contracts.auth``."""

from services.auth.api.connect import connect_routes
from services.auth.api.connections import connection_routes
from services.auth.api.errors import exception_handlers
from services.auth.api.tokens import token_routes

__all__ = [
    "connect_routes",
    "connection_routes",
    "exception_handlers",
    "token_routes",
]

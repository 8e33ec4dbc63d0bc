"""The only door to the tables. Every function works in the caller's transaction and never commits."""

from services.auth.store import canary, connections, credentials, flows
from services.auth.tables import outbox

__all__ = ["canary", "connections", "credentials", "flows", "outbox"]

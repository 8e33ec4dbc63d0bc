"""Serve every provider's sandbox and the control API on one loopback port."""

from deploy.sandbox.clients import sandbox_clients
from deploy.sandbox.server.app import create_app

__all__ = ["create_app", "sandbox_clients"]

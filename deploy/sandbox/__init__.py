"""Serves every provider's sandbox on one loopback port, and the control API that arranges what they do."""

from deploy.sandbox.clients import sandbox_clients
from deploy.sandbox.server.app import create_app

__all__ = ["create_app", "sandbox_clients"]

"""Serves every provider's sandbox on one loopback port, and the control API that arranges what they do."""

from deploy.sandbox.app import create_app
from deploy.sandbox.clients import sandbox_clients

__all__ = ["create_app", "sandbox_clients"]

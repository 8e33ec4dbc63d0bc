"""``python -m services.gateway``: the gateway as a process of its own."""

import sys

from services.gateway.app import create_app
from services.gateway.settings import gateway_settings
from shared.process import serve_alone

if __name__ == "__main__":
    sys.exit(
        serve_alone(
            "gateway",
            lambda settings: create_app(gateway_settings(settings, ready_urls=(f"{settings.auth_url}/health/ready",))),
        )
    )

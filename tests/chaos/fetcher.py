"""Run a fetcher with a Redis inside it, for the stack without servers.

``python -m tests.chaos.fetcher``
"""

import sys

from fakeredis import FakeServer
from fakeredis.aioredis import FakeRedis

from services.fetcher.app import create_app
from services.fetcher.settings import fetcher_settings
from shared.process import serve_alone
from shared.settings import Settings
from shared.telemetry.middleware import App


def make_app(settings: Settings) -> App:
    return create_app(fetcher_settings(settings, alone=False), redis=FakeRedis(server=FakeServer()))


if __name__ == "__main__":
    sys.exit(serve_alone("fetcher", make_app))

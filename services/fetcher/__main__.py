"""Run one fetcher: ``python -m services.fetcher``. Any number of them may share the work."""

import sys

from services.fetcher.app import create_app
from services.fetcher.settings import fetcher_settings
from shared.process import serve_alone
from shared.quota import open_redis
from shared.settings import Settings
from shared.telemetry.middleware import App


def make_app(settings: Settings) -> App:
    redis = None if settings.redis_url is None else open_redis(settings.redis_url)
    return create_app(fetcher_settings(settings, alone=False), redis=redis)


if __name__ == "__main__":
    sys.exit(serve_alone("fetcher", make_app))

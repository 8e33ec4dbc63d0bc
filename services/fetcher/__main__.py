"""``python -m services.fetcher``: one fetcher; any number of them may share the work."""

import sys

from services.fetcher.app import create_app
from services.fetcher.settings import fetcher_settings
from shared.process import serve_alone
from shared.quota import open_redis

if __name__ == "__main__":
    sys.exit(
        serve_alone(
            "fetcher",
            lambda settings: create_app(fetcher_settings(settings, alone=False), redis=open_redis(settings.redis_url)),
        )
    )

"""``python -m deploy.setup``: create what the services need before they start.

That is the secrets of the data folder, the schemas of the three services, and the topics. Running
it again changes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from deploy.stores import check_stores, installation_id
from services.auth.settings import auth_settings
from services.fetcher.settings import fetcher_settings
from services.gateway.settings import gateway_settings
from shared.db import Database, Location
from shared.exit_codes import exit_code
from shared.installation import sandbox_client
from shared.kafka import check_topics_layout, ensure_topics
from shared.process import read_settings
from shared.settings import Settings


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m deploy.setup", description=__doc__)
    parser.add_argument(
        "--local-broker",
        action="store_true",
        help="create topics with the local broker's small partition counts",
    )
    given = parser.parse_args(arguments)
    return exit_code(lambda: asyncio.run(_set_up(read_settings(), local=given.local_broker)))


async def _set_up(settings: Settings, *, local: bool) -> None:
    await check_stores(settings)
    await check_topics_layout(settings.kafka)
    installation = await installation_id(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    for slug in settings.providers:
        # Makes the sandbox's secret: where services may only read the folder, nobody else can.
        sandbox_client(settings.data_dir, slug)
    locations: dict[str, Location] = {
        "auth": auth_settings(settings).database,
        "fetcher": fetcher_settings(settings, alone=False).database,
        "gateway": gateway_settings(settings, ready_urls=()).database,
    }
    for service, location in locations.items():
        database = Database(location)
        try:
            await database.migrate(f"services.{service}:migrations")
        finally:
            await database.close()
    await ensure_topics(settings.kafka, local=local, installation=installation)
    print("Secrets, schemas and topics are ready.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Start the servers of the native stack for an upgrade, while no service runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from deploy.native.stack import Stack
from deploy.servers import Postgres
from deploy.upgrade.installation import ServersRun
from shared.settings import SecretStr, Settings


@contextmanager
def servers_started(settings: Settings) -> Iterator[ServersRun]:
    """Run Kafka and PostgreSQL while the context is open.

    Raises:
        Refusal: a server is not available here, or does not start.
        PortBusy: a service of the stack runs.
    """
    with Stack(settings, sandbox=False, tied=True) as stack:
        database_url = settings.database_url
        for server in stack.servers.values():
            print(f"Starting {server.name} of the native stack …", file=sys.stderr)
            server.start()
            if isinstance(server, Postgres):
                database_url = SecretStr(server.url)
        yield ServersRun(replace(settings, database_url=database_url))

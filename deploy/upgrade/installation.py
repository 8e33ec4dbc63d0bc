"""Find the installations that share a data folder, and reach the Kafka of each.

Their services are stopped meanwhile.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    nullcontext,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from deploy.stores import databases
from shared.db import Schema
from shared.kafka import THE_TOPICS, topics_layout
from shared.settings import Cluster, Settings

LOOPBACK: Final = "127.0.0.1"


class Installation(Protocol):
    """An installation to upgrade.

    ``settings`` say where its databases are. ``local`` means topics with the local broker's small
    partition counts.
    """

    @property
    def settings(self) -> Settings: ...

    @property
    def local(self) -> bool: ...

    async def kafka_layouts(self) -> dict[str, int]:
        """Return store, by its name for people → its layout. Nothing is written."""
        ...

    def kafka(self) -> AbstractAsyncContextManager[Cluster]:
        """Yield the cluster, whose topics may be changed while the context is open."""
        ...


@dataclass(frozen=True)
class ServersRun:
    """An installation whose Kafka runs already, whoever started it."""

    settings: Settings
    local: bool = False

    async def kafka_layouts(self) -> dict[str, int]:
        found = await topics_layout(self.settings.kafka)
        return {} if found is None else {THE_TOPICS: found}

    @asynccontextmanager
    async def kafka(self) -> AsyncIterator[Cluster]:
        yield self.settings.kafka


def installations(
    settings: Settings, broker_dir: Path, *, local: bool
) -> Iterator[AbstractContextManager[Installation]]:
    """Yield a context for each installation; what it starts runs while the context is open.

    ``broker_dir`` is the local broker's folder. ``make run`` and ``make stack`` may have used the
    same data folder: both installations are upgraded.
    """
    data, port = settings.data_dir, settings.kafka_port
    default_kafka = settings.kafka.bootstrap == f"{LOOPBACK}:{port}"
    native = default_kafka and (data / "apache-kafka").exists()
    native |= settings.database_url is None and (data / "postgres").exists()
    files = [
        location for location in databases(settings).values() if not isinstance(location, Schema)
    ]
    if native and not broker_dir.exists() and not any(file.exists() for file in files):
        pass
    elif default_kafka and not _answers(port):
        from deploy.local.upgrade import WithLocalBroker  # noqa: PLC0415  # not in the images

        yield nullcontext(WithLocalBroker(settings, broker_dir))
    else:
        yield nullcontext(ServersRun(settings, local=local))
    if native:
        from deploy.native.upgrade import servers_started  # noqa: PLC0415  # not in the images

        yield servers_started(settings)


def _answers(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1.0)
        return client.connect_ex((LOOPBACK, port)) == 0

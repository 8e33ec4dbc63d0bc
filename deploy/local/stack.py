"""Run the whole product in one process.

Broker, sandbox, auth, fetcher and gateway start in this order, and stop in reverse.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain
from typing import Any

from fakeredis import FakeServer
from fakeredis.aioredis import FakeRedis
from redis.asyncio import Redis

from deploy.local.compose import HOST, Composition, broker_folder
from deploy.localkafka import Broker
from deploy.lock import locked
from deploy.sandbox.server.app import create_app as create_sandbox
from deploy.stores import installation_id
from services.auth.app import create_app as create_auth
from services.fetcher.app import create_app as create_fetcher
from services.gateway.app import create_app as create_gateway
from shared.contracts.topics import INSTALLATION, TOPICS
from shared.kafka import ensure_topics
from shared.quota import open_redis
from shared.serve import PortBusy, Served, bind
from shared.settings import SecretStr


@asynccontextmanager
async def running(made: Composition, *, sandbox: bool = True) -> AsyncIterator[None]:
    """Run everything while the context is open; the gateway listens last.

    Raises:
        PortBusy: names each busy port and its setting.
        AlreadyRunning: names the data folder.
    """
    settings = made.settings
    async with AsyncExitStack() as stack:
        stack.callback(locked(settings.data_dir).close)
        listeners = ["auth", "fetcher", "gateway"]
        if sandbox:
            listeners.append("sandbox")
        sockets = _take_ports(made, listeners)
        await _start_broker(made, stack)
        redis = _open_redis(settings.redis_url)
        stack.push_async_callback(redis.aclose)
        apps: dict[str, Any] = {
            "auth": create_auth(made.auth),
            "fetcher": create_fetcher(made.fetcher, redis=redis),
            "gateway": create_gateway(made.gateway),
        }
        if sandbox:
            apps = {"sandbox": create_sandbox(settings.data_dir, made.sandbox_clients), **apps}
        for name, app in apps.items():
            served = Served(name, app, sockets[name])
            await served.start()
            stack.push_async_callback(served.stop)
        yield


def _open_redis(url: SecretStr | None) -> Redis:
    """Return the server at ``url``, else one inside this process.

    Everything that would use it is in this process too.
    """
    return FakeRedis(server=FakeServer()) if url is None else open_redis(url)


def _take_ports(made: Composition, names: Sequence[str]) -> dict[str, list[socket.socket]]:
    """Take the ports of these services, and look whether the local broker's is free.

    Raises:
        PortBusy: names all that are busy, so that one look at the message mends them all.
    """
    taken: dict[str, list[socket.socket]] = {}
    busy: list[tuple[int, str, str]] = []
    local = [] if broker_folder(made.settings) is None else ["kafka"]
    for name in [*local, *names]:
        try:
            taken[name] = _taken(made, name)
        except PortBusy as error:
            busy += error.busy
    for one in chain(taken.pop("kafka", []), *(taken.values() if busy else [])):
        one.close()
    if busy:
        raise PortBusy(*busy)
    return taken


def _taken(made: Composition, name: str) -> list[socket.socket]:
    """Take the port of a service.

    Services are reached at 127.0.0.1; only the gateway may listen elsewhere.
    """
    settings = made.settings
    port, setting = getattr(settings, f"{name}_port"), f"TRIBUTARY_{name.upper()}_PORT"
    return bind(
        port,
        what="Kafka" if name == "kafka" else name,
        setting=setting,
        host=settings.host if name == "gateway" else HOST,
    )


async def _start_broker(made: Composition, stack: AsyncExitStack) -> None:
    """Start the local broker, unless another Kafka was named.

    Then that one's topics are checked, and created where they are missing.
    """
    folder, port = broker_folder(made.settings), made.settings.kafka_port
    installation = await installation_id(made.settings)
    if folder is None:
        await ensure_topics(made.kafka, local=False, installation=installation)
        return
    ours = [INSTALLATION, *(topic.name for topic in TOPICS)]
    broker = Broker(folder, host=HOST, port=port, keeps=ours)
    try:
        await broker.start()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise PortBusy((port, "Kafka", "TRIBUTARY_KAFKA_PORT")) from None
    stack.push_async_callback(broker.stop)
    await ensure_topics(made.kafka, local=True, installation=installation)

"""Run the broker: open the logs, listen, keep the logs tidy, and close everything again."""

import asyncio
import fcntl
import ipaddress
import uuid
from collections.abc import Collection
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, TextIO

import structlog

from deploy.localkafka.compaction import Stopped
from deploy.localkafka.connection import serve
from deploy.localkafka.errors import BrokerError
from deploy.localkafka.files import replace_durably
from deploy.localkafka.flusher import Flusher
from deploy.localkafka.groups import Groups
from deploy.localkafka.layout import claim_layout, upgrade_layout
from deploy.localkafka.node import Node
from deploy.localkafka.topics import Topics
from deploy.localkafka.upkeep import Upkeep
from shared import clock

_logger = structlog.get_logger()
_UPKEEP_SECONDS: Final = 10.0
_READ_AHEAD: Final = 1024 * 1024


class Broker:
    """Kafka for one machine. Start it once; ``port`` is the real one after ``start``."""

    def __init__(
        self,
        data_dir: Path,
        host: str = "127.0.0.1",
        port: int = 9092,
        *,
        advertised_port: int | None = None,
        upgrade: bool = False,
        keeps: Collection[str] = (),
    ) -> None:
        """Take the settings. ``upgrade`` converts a folder of an older layout, not refusing it.

        ``keeps`` names topics that nobody may delete.

        ``advertised_port`` is what clients are told to connect to, such as a proxy's; None is
        ``port``.
        """
        self._prepare = upgrade_layout if upgrade else claim_layout
        self.data_dir = data_dir
        self._keeps = frozenset(keeps)
        self.host = host
        self.port = port
        self.advertised_port = advertised_port
        self.cluster_id = ""
        self._node: Node | None = None
        self._upkeep = Upkeep()
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._open = AsyncExitStack()

    async def start(self) -> None:
        """Return when clients can connect. What was not closed properly is repaired first.

        Raises:
            BrokerError: the host is not this machine, or another broker uses the data folder.
            LayoutRefused: the data folder has another layout.
            OSError: the port is taken, or the data folder cannot be written to.
        """
        address = _loopback(self.host)
        async with AsyncExitStack() as opened:
            server = await asyncio.start_server(
                self._accept, address, self.port, limit=_READ_AHEAD, start_serving=False
            )
            opened.callback(server.close)
            self.port = server.sockets[0].getsockname()[1]
            self.data_dir.mkdir(parents=True, exist_ok=True)
            opened.callback(_locked(self.data_dir).close)
            self._prepare(self.data_dir)
            self.cluster_id = _cluster_id(self.data_dir)
            self._node = await self._open_node(opened)
            await server.start_serving()
            tidying = asyncio.create_task(self._tidy())
            opened.push_async_callback(self._stop_tidying, tidying)
            opened.push_async_callback(self._hang_up, server)
            self._open = opened.pop_all()
        _logger.info(
            "local_broker_started",
            address=f"{self.host}:{self.port}",
            note=(
                "for one machine only: one copy of the data, loopback only; "
                "use Apache Kafka for anything else"
            ),
        )

    async def stop(self) -> None:
        """Close every connection.

        What was acknowledged stays. Waiting clients connect again after a restart.
        """
        await self._open.aclose()

    async def tidy(self, *, thorough: bool = True) -> None:
        """Compact and trim all partitions now; the broker itself does so every ten seconds."""
        if self._node is None:
            return
        for log in self._node.topics.logs():
            try:
                await self._upkeep.tend(log, thorough=thorough)
            except Stopped:
                return
            except Exception:
                _logger.exception("local_broker_upkeep_failed", partition=str(log.directory))

    async def _open_node(self, opened: AsyncExitStack) -> Node:
        topics = await asyncio.to_thread(Topics, self.data_dir)
        opened.callback(topics.close)
        groups = Groups(self.data_dir)
        opened.callback(groups.close)
        flusher = Flusher()
        opened.push_async_callback(flusher.close)
        port = self.port if self.advertised_port is None else self.advertised_port
        return Node(self.host, port, self.cluster_id, topics, groups, flusher, self._keeps)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._node is None:
            writer.transport.abort()
            return
        task = asyncio.create_task(serve(self._node, reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)

    async def _hang_up(self, server: asyncio.Server) -> None:
        server.close()
        for task, writer in list(self._connections.items()):
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await server.wait_closed()

    async def _tidy(self) -> None:
        await self.tidy(thorough=True)
        while self._node is not None:
            await clock.sleep(_UPKEEP_SECONDS)
            try:
                self._node.groups.offsets.tend()
            except OSError:
                _logger.exception("local_broker_upkeep_failed", partition="committed offsets")
            await self.tidy(thorough=False)

    async def _stop_tidying(self, tidying: asyncio.Task[None]) -> None:
        self._upkeep.stop()
        tidying.cancel()
        await asyncio.gather(tidying, return_exceptions=True)


def _loopback(host: str) -> str:
    """Return the address to listen on."""
    address = "127.0.0.1" if host == "localhost" else host
    try:
        if ipaddress.ip_address(address).is_loopback:
            return address
    except ValueError:
        pass
    raise BrokerError(
        f"The local broker does not listen on {host!r}: it has no passwords, so only programs on "
        "this machine may reach it. Use 127.0.0.1, or run Apache Kafka to serve other machines."
    )


def _locked(data_dir: Path) -> TextIO:
    file = (data_dir / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise BrokerError(
            f"Another local broker already uses {data_dir}. Stop it first, or choose another "
            "data folder."
        ) from None
    return file


def _cluster_id(data_dir: Path) -> str:
    path = data_dir / "cluster_id"
    if not path.exists():
        replace_durably(path, uuid.uuid4().hex.encode())
    return path.read_text().strip()

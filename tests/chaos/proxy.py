"""Make the network to a dependency bad, with a TCP proxy that everything goes through."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal, TypeVar

from tests.chaos.modes import BlackHole, Drop, HalfClose, Mode, Pass, Reset, Truncate

T = TypeVar("T")
Way = Literal["to_server", "to_client"]
CHUNK = 1 << 16
HELD = 64
"""Chunks that may wait for their time before the sender is held up."""
AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: closing discards what is unsent and sends a RST."""


class _Pump:
    """Carry one direction of one connection."""

    def __init__(
        self, proxy: Proxy, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._proxy, self._way, self._reader, self._writer = proxy, way, reader, writer
        self._held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(HELD)
        self._ended = False
        self.swallowed = False
        self.left: int | None = None
        self.switched()

    def switched(self) -> None:
        mode = self._proxy.modes[self._way]
        self.left = mode.after if isinstance(mode, Truncate) else None
        if isinstance(mode, HalfClose):
            self._end()

    async def run(self) -> None:
        """Run until this direction is over: the sender's FIN was passed on, or the mode cut it."""
        async with asyncio.TaskGroup() as both:
            writing = both.create_task(self._write())
            while chunk := await self._reader.read(CHUNK):
                mode = self._proxy.modes[self._way]
                if isinstance(mode, BlackHole):
                    self.swallowed = True
                elif not self._ended:
                    await self._held.put((self._due(mode), self._cut(chunk)))
                if self.left == 0:
                    break
            await self._held.put((0.0, b""))
            await writing

    def _cut(self, chunk: bytes) -> bytes:
        if self.left is None:
            return chunk
        chunk = chunk[: self.left]
        self.left -= len(chunk)
        return chunk

    def _due(self, mode: Mode) -> float:
        if not isinstance(mode, Pass) or not (mode.delay_s or mode.jitter_s):
            return 0.0
        return (
            asyncio.get_running_loop().time()
            + mode.delay_s
            + self._proxy.random.uniform(0, mode.jitter_s)
        )

    async def _write(self) -> None:
        while True:
            due, chunk = await self._held.get()
            wait = due - asyncio.get_running_loop().time()
            if wait > 0:
                await asyncio.sleep(wait)
            if not chunk:
                self._end()
                return
            if not self._ended:
                self._writer.write(chunk)
                await self._writer.drain()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            with suppress(OSError, RuntimeError):
                self._writer.write_eof()


class Proxy:
    """Stand before one target (see ``Network.proxy``); any thread may call ``switch``."""

    def __init__(self, network: Network, port: int, target: int, *, seed: int = 0) -> None:
        self.port, self.target = port, target
        self.modes: dict[Way, Mode] = {"to_server": Pass(), "to_client": Pass()}
        self.random = random.Random(seed)
        self.accepted = 0
        self._network = network
        self._pumps: dict[_Pump, tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = {}
        self._server: asyncio.Server | None = None

    def switch(
        self,
        both: Mode | None = None,
        *,
        to_server: Mode | None = None,
        to_client: Mode | None = None,
    ) -> None:
        """Wait until the mode holds for all connections; a direction not named passes."""
        ways: dict[Way, Mode] = {
            "to_server": to_server or both or Pass(),
            "to_client": to_client or both or Pass(),
        }
        self._network.run(self._switch(ways))

    @contextmanager
    def being(self, both: Mode | None = None, **ways: Mode) -> Iterator[None]:
        """Stay in this mode while the block runs, and pass everything afterwards."""
        self.switch(both, **ways)
        try:
            yield
        finally:
            self.switch()

    def cut(self) -> None:
        """Send a RST on every connection there is; new ones are as before."""
        self._network.run(self._hang_up(rst=True))

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=CHUNK)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._hang_up(rst=True)

    async def _switch(self, ways: dict[Way, Mode]) -> None:
        lossy = {pump for pump in self._pumps if pump.swallowed}
        self.modes = ways
        if any(isinstance(mode, Drop | Reset) for mode in ways.values()):
            await self._hang_up(rst=any(isinstance(mode, Reset) for mode in ways.values()))
        for pump in list(self._pumps):
            pump.switched()
        for pump in lossy & self._pumps.keys():
            _close_all(self._pumps[pump], rst=True)

    async def _hang_up(self, *, rst: bool) -> None:
        for both in list(self._pumps.values()):
            _close_all(both, rst=rst)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        cutting = [mode for mode in self.modes.values() if isinstance(mode, Drop | Reset)]
        if cutting:
            _close(writer, rst=Reset() in cutting)
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target, limit=CHUNK)
        except OSError:
            _close(writer, rst=True)
            return
        for one in (writer, back):
            one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await self._pass(
            _Pump(self, "to_server", reader, back),
            _Pump(self, "to_client", there, writer),
            back,
            writer,
        )

    async def _pass(
        self, up: _Pump, down: _Pump, server: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        self._pumps |= {up: (server, client), down: (server, client)}
        running = [asyncio.create_task(pump.run()) for pump in (up, down)]
        try:
            for ended in asyncio.as_completed(running):
                await ended
                if 0 in {up.left, down.left}:
                    break
        except (OSError, ExceptionGroup):
            _close_all((server, client), rst=True)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            del self._pumps[up], self._pumps[down]
            server.close()
            client.close()


def _close(writer: asyncio.StreamWriter, *, rst: bool) -> None:
    if rst:
        with suppress(OSError):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        writer.transport.abort()
    else:
        writer.close()


def _close_all(both: tuple[asyncio.StreamWriter, ...], *, rst: bool) -> None:
    for writer in both:
        _close(writer, rst=rst)


class Network:
    """Run the event loop of all proxies of a test, on a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()
        self._proxies: list[Proxy] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def proxy(self, port: int, target: int) -> Proxy:
        """Listen on ``port`` for ``target``, which need not be there yet."""
        made = Proxy(self, port, target)
        self.run(made.start())
        self._proxies.append(made)
        return made

    def close(self) -> None:
        for proxy in self._proxies:
            self.run(proxy.stop())
        self.run(_drained())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


async def _drained() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
